"""In which order Dask reads the blocks of a large graph, so that little of it is held at once."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from dask.callbacks import Callback

Key = Any
Links = Mapping[Key, Collection[Key]]


class OneByOne(Callback):
    """While active, blocks are read in the order that the results need them, one after another.

    Dask's threads run what has become ready before they read anything more, but what they read
    next is decided by `dask.order`, which begins with results of few inputs, wherever they are: in
    a graph of windows along time it jumps about, and what waits between the jumps is held, a part
    of the whole recording.

    A cluster orders its tasks by itself and spills what it cannot hold.
    """

    def __init__(self) -> None:
        super().__init__(start_state=_sort_ready)


def _sort_ready(graph: Mapping[Key, Any], state: dict[str, Any]) -> None:
    rank = rank_tasks(state["dependencies"], state["dependents"])
    # The last of the list runs first.
    state["ready"].sort(key=rank.__getitem__, reverse=True)


def rank_tasks(needs: Links, needed_by: Links) -> dict[Key, int]:
    """Number the tasks of a graph in the order that a walk from its results comes upon them.

    Arrays whose blocks need little come first: what they read is what those that need much (all
    of time, say) can do with at once, but not the other way round. Within an array one column of
    blocks follows another: the whole of time of all columns is more than fits.

    Parameters
    ----------
    needs, needed_by : key -> keys; that of a block is its array's name and its place

    Returns
    -------
    Every key -> its number
    """
    reach = _count_paths(needs, needed_by)
    results: dict[str, list[Key]] = defaultdict(list)
    for key in needs:
        # A task at the end collects what was done: the results are those before it.
        if all(not needed_by.get(user) for user in needed_by.get(key, ())):
            results[_name(key)].append(key)
    rank: dict[Key, int] = {}
    most = {name: max(reach[key] for key in keys) for name, keys in results.items()}
    for name in sorted(most, key=lambda name: (most[name], name)):
        waiting = sorted(results[name], key=_place, reverse=True)
        while waiting:
            key = waiting.pop()
            if key not in rank:
                rank[key] = len(rank)
                waiting.extend(sorted(needs.get(key, ()), key=_place, reverse=True))
    return rank


def _count_paths(needs: Links, needed_by: Links) -> dict[Key, int]:
    """Return how many ways lead from each task to one that needs nothing: how much it needs."""
    missing = {key: len(keys) for key, keys in needs.items()}
    ready = [key for key, count in missing.items() if not count]
    paths = dict.fromkeys(needs, 0) | dict.fromkeys(ready, 1)
    while ready:
        key = ready.pop()
        for user in needed_by.get(key, ()):
            paths[user] += paths[key]
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    return paths


def _name(key: Key) -> str:
    return str(key[0]) if isinstance(key, tuple) else str(key)


def _place(key: Key) -> tuple[int, ...]:
    """Return a block's place with time, its first axis, last."""
    place = [at for at in key if isinstance(at, int)] if isinstance(key, tuple) else []
    return (*place[1:], *place[:1])
