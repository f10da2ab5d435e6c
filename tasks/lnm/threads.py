"""How many threads the arithmetic of this stage may use."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def limit_threads(threads: int) -> Generator[None]:
    """Let torch and the linear algebra libraries use `threads` threads; 0 leaves them alone.

    The nano model's matrices are so small that threads wait for each other more than they work;
    with other processes on the same cores, waiting costs many times the work itself.
    """
    if not threads:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
