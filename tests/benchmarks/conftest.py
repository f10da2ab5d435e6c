"""What the benchmarks share: seconds and peak memory of a piece of work, side by side."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest

POLL_S = 0.01


@dataclass(frozen=True)
class Cost:
    """What one piece of work took: seconds, and MB of memory beyond what was held before."""

    seconds: float
    megabytes: float
    result: object


@pytest.fixture
def cost() -> Callable[[Callable[[], object]], Cost]:
    """Return a function that does some work and tells what it took."""
    return measure


def measure(work: Callable[[], object]) -> Cost:
    """Do the work; this process's memory is looked at every 10 ms meanwhile."""
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    peak = [before]

    def watch() -> None:
        while not done.wait(POLL_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        result = work()
        seconds = time.perf_counter() - start
    finally:
        done.set()
        watcher.join()
    return Cost(seconds, (peak[0] - before) / 1e6, result)
