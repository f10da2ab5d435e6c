"""Questions about sessions that need not fit in memory: read is only what an answer rests on.

A score, or a probe, of more time than fits is of stretches from all over it.

Windows lie on a grid from the start of each run, and what a window is told reaches three quarters
of another one beyond it. So two windows beside the time that is asked about, cut where the grid
has a line, give the same answer as the whole session.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from schemas.errors import NotFoundError
from tasks.lnm.data.division import choose_stretches
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Bools, Ints, Recording
from tasks.lnm.data.runs import find_runs, window_stride
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.query import query

MOST_VALUES = 2**27
"""Values of the time that is asked about which are in memory at once (0.5 GiB)."""
MOST_SCORED = 2**25
"""Values that are scored or probed at once; prepared for every task they take 1.5 GiB and more."""
BESIDE = 2
"""Windows that are read before and after it."""


def query_source(
    model: TrainedModel,
    source: Source | Recording,
    targets: Sequence[str],
    *,
    visible: Sequence[str] | None = None,
    t0: float = -np.inf,
    t1: float = np.inf,
    seen_until: float | None = None,
    n_samples: int = 0,
    seed: int = 0,
) -> xr.Dataset:
    """Answer as `query.query` does, from a source; a long answer is made stretch by stretch."""
    asked = {"visible": visible, "n_samples": n_samples}
    if seen_until is not None:
        past = read_past(model, source, seen_until)
        return query(model, past, targets, **asked, t1=t1, seen_until=seen_until, seed=seed)  # type: ignore[arg-type]
    time_T = source.clock.time_T
    found = []
    for number, (first, stop) in enumerate(cut_time(model, source, t0, t1)):
        own = read_around(model, source, first, stop)
        ends = {"t0": max(t0, time_T[first]), "t1": min(t1, time_T[stop - 1])}
        found.append(query(model, own, targets, **asked, **ends, seed=seed + number))  # type: ignore[arg-type]
    answer = found[0]
    if len(found) > 1:
        answer = xr.concat(found, "time", data_vars="minimal", coords="minimal", compat="override")
    told = {f"asked_{name}": t for name, t in (("t0", t0), ("t1", t1)) if np.isfinite(t)}
    kept = {n: v for n, v in answer.attrs.items() if n not in ("asked_t0", "asked_t1")}
    return answer.drop_attrs(deep=False).assign_attrs(kept | told)


def find_samples(source: Source | Recording, t0: float, t1: float) -> tuple[int, int]:
    """Return the first sample from t0 to t1 and the end of them.

    Raises
    ------
    NotFoundError
        Nothing was recorded then.
    """
    time_T = source.clock.time_T
    first, stop = np.searchsorted(time_T, t0), np.searchsorted(time_T, t1, side="right")
    if first >= stop:
        raise NotFoundError(f"nothing was recorded from {t0:g} to {t1:g} s.", where="query")
    return int(first), int(stop)


def cut_time(
    model: TrainedModel, source: Source | Recording, t0: float, t1: float
) -> Iterator[tuple[int, int]]:
    """Yield first sample and end of each stretch of the time from t0 to t1."""
    first, stop = find_samples(source, t0, t1)
    length = max(16 * model.window, MOST_VALUES // len(source.columns.names))
    for at in range(first, stop, length):
        yield at, min(at + length, stop)


def read_around(
    model: TrainedModel, source: Source | Recording, first: int, stop: int
) -> Recording:
    """Read some samples and so much beside them that answers about them are those of the whole."""
    beside, stride = BESIDE * model.window, window_stride(model.window)
    low, high = first, stop
    for start, end in find_runs(source.clock.segment_T):
        if start <= first < end:
            low = start + stride * (max(0, first - beside - start) // stride)
        if start < stop <= end:
            high = min(end, stop + beside)
    return source.between(low, high)


def read_spread(
    model: TrainedModel, source: Source | Recording, part_T: Ints
) -> tuple[Recording, Ints]:
    """Read some parts of the time, of more than fits in memory stretches from all over each.

    Parameters
    ----------
    part_T : (time,) 0, 1 or 2; -1 for samples that are not asked for

    Returns
    -------
    What was read, and the part of each of its samples.
    """
    asked = np.flatnonzero(part_T >= 0)
    share = MOST_SCORED / (len(asked) * len(source.columns.names))
    if share >= 1 or isinstance(source, Recording):
        own = slice(asked[0], asked[-1] + 1)
        return source.between(own.start, own.stop), part_T[own]
    runs = find_runs(source.clock.segment_T, part_T)
    stretches = choose_stretches(runs, part_T, model.window, share)
    return source.take(stretches), np.concatenate([part_T[slice(*own)] for own in stretches])


def read_past(model: TrainedModel, source: Source | Recording, seen_until: float) -> Recording:
    """Read so much of the run up to a time that the last value of every column is known.

    Raises
    ------
    NotFoundError
        Nothing was recorded at that time.
    """
    clock = source.clock
    origin = int(np.searchsorted(clock.time_T, seen_until, side="right")) - 1
    own = [start for start, stop in find_runs(clock.segment_T) if start <= origin < stop]
    if not own:
        raise NotFoundError(f"nothing was recorded at {seen_until:g} s.", where="query")
    length = 2 * BESIDE * model.window
    while True:
        low = max(own[0], origin + 1 - length)
        past = source.between(low, origin + 1)
        if low == own[0] or _known(past).all():
            return past
        length *= 2


def _known(recording: Recording) -> Bools:
    return np.asarray(np.isfinite(recording.values_TV).any(0))
