"""A run that was killed goes on where it was, with the same result to the bit."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

from schemas.settings.causal import CausalSettings
from tasks.causal import skill
from tasks.causal.blocks import BlockStore, fetch_blocks
from tasks.causal.extract import extract_graph
from tasks.common.progress import progress_to

SETTINGS = CausalSettings(
    use="all", tau_s=0, theiler_s=0, dimension=2, library_samples=2, surrogates=9, block=2
)


class Killed(BaseException):
    """Stands for a process that ends."""


def test_a_block_is_computed_once_and_only_whole_ones_count(tmp_path):
    calls = []

    def compute(value: float, part: range):
        calls.append(value)
        if value < 0:
            raise Killed
        return {"a": np.full((2, 3), value, np.float32), "b": np.arange(part.stop)}

    def fetch(value: float):
        store = BlockStore(tmp_path / "blocks")
        return next(fetch_blocks(store, "some work", [range(4)], partial(compute, value), "cpu"))

    with pytest.raises(Killed):
        fetch(-1.0)
    for _ in range(2):
        block = fetch(1.5)
        np.testing.assert_array_equal(block["a"], np.full((2, 3), 1.5))
        assert block["b"].dtype == np.arange(4).dtype
    assert calls == [-1.0, 1.5]


def test_a_killed_run_goes_on_and_ends_the_same(
    make_aligned, logistic_network, tmp_path, monkeypatch
):
    aligned = make_aligned(logistic_network[:200, :5])
    whole = extract_graph(aligned, SETTINGS)

    class DiesAfterTwo:
        def update(self, label: str, done: float, total: float, note: str = "") -> None:
            if label == "cross mapping" and done == 2:
                raise Killed

    with progress_to(DiesAfterTwo()), pytest.raises(Killed):
        extract_graph(aligned, SETTINGS, store=BlockStore(tmp_path / "blocks"))
    again: list[int] = []
    summarize = skill.summarize_draws
    monkeypatch.setattr(
        skill,
        "summarize_draws",
        lambda skill_DBM, size_D: again.append(skill_DBM.shape[1]) or summarize(skill_DBM, size_D),
    )
    resumed = extract_graph(aligned, SETTINGS, store=BlockStore(tmp_path / "blocks"))
    assert again == [1]  # of 2, 2 and 1 effects
    for group in ("skill", "edges"):
        xr.testing.assert_identical(
            resumed[group].to_dataset(inherit=False), whole[group].to_dataset(inherit=False)
        )
