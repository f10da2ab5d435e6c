"""Progress of long work: functions say how far they are, the edge decides where it is shown."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class ProgressSink(Protocol):
    """Where progress goes: a terminal, a Prefect artifact, nowhere."""

    def update(self, label: str, done: float, total: float, note: str = "") -> None:
        """Say that `done` of `total` steps of `label` are finished."""


class _Silent:
    def update(self, label: str, done: float, total: float, note: str = "") -> None:
        """Drop the message."""


_SILENT = _Silent()
_SINK: ContextVar[ProgressSink] = ContextVar("progress_sink", default=_SILENT)


@contextmanager
def progress_to(sink: ProgressSink) -> Generator[None]:
    """Send all progress of this context to `sink`."""
    token = _SINK.set(sink)
    try:
        yield
    finally:
        _SINK.reset(token)


def report_progress(label: str, done: float, total: float, note: str = "") -> None:
    """Say that `done` of `total` steps of `label` are finished."""
    _SINK.get().update(label, done, total, note)


def track[T](items: Iterable[T], label: str, total: int | None = None) -> Generator[T]:
    """Yield `items`, reporting each one that is finished."""
    size = total if total is not None else len(items)  # type: ignore[arg-type]
    report_progress(label, 0, size)
    for done, item in enumerate(items, start=1):
        yield item
        report_progress(label, done, size)
