"""Training curves as files that TensorBoard shows while training goes on."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

FLUSH_S = 5


class _Writer(Protocol):
    def add_scalar(self, tag: str, value: float, step: int) -> object: ...


_WRITER: ContextVar[_Writer | None] = ContextVar("curve_writer", default=None)


@contextmanager
def curves_to(folder: Path) -> Generator[None]:
    """Write the curves of all training within: `tensorboard --logdir FOLDER` shows them."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder), flush_secs=FLUSH_S) as writer:
        token = _WRITER.set(writer)
        try:
            yield
        finally:
            _WRITER.reset(token)


def draw_point(step: int, figures: Mapping[str, float]) -> None:
    """Add a point to each curve, where they are written at all."""
    writer = _WRITER.get()
    if writer is not None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
