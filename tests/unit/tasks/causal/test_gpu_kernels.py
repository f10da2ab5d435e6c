"""The GPU's engine must agree with the reference and with the CPU's: ties, gaps, NaN, any rule.

On a machine with a CUDA device these run on it; elsewhere Triton's interpreter runs the same
kernels on the CPU, which tells that they are right and nothing about how fast they are.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

if not torch.cuda.is_available():
    # Read when the kernels are defined, so before their import.
    os.environ["TRITON_INTERPRET"] = "1"

from schemas.errors import TectumError
from tasks.causal.draws import LibraryDraws
from tasks.causal.engine import ReferenceEngine, choose_backend, open_engine
from tasks.causal.kernels import gpu, gpu_arrays
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.kernels.gpu import GpuEngine
from tasks.causal.kernels.gpu_memory import DeviceBlocks, DeviceShape, plan_device
from tasks.causal.rule import CrossMapRule
from tests.unit.tasks.causal.problems import mapped, noisy_walks, problems

FEW = settings(max_examples=8, deadline=None)


@given(problems())
@FEW
def test_skills_agree_with_the_reference(problem):
    expected = ReferenceEngine(problem, np.float32).skills(range(3))
    np.testing.assert_allclose(GpuEngine(problem).skills(range(3)), expected, atol=1e-4)


@given(problems(), st.integers(1, 12))
@settings(max_examples=4, deadline=None)
def test_random_libraries_agree_with_the_reference(problem, size):
    draws = LibraryDraws((size, size + 3), seed=3)
    expected = ReferenceEngine(problem, np.float32).skills(range(2), draws)
    np.testing.assert_allclose(GpuEngine(problem).skills(range(2), draws), expected, atol=1e-4)


@given(problems())
@settings(max_examples=4, deadline=None)
def test_predictions_agree_with_the_reference(problem):
    expected = ReferenceEngine(problem, np.float32).predictions(1)
    np.testing.assert_allclose(GpuEngine(problem).predictions(1), expected, atol=1e-5)


@given(problems())
@FEW
def test_self_skill_of_all_dimensions_agrees_with_the_reference(problem):
    tried = list(range(1, problem.longest + 1))
    expected = ReferenceEngine(problem, np.float32).self_skills(range(3), tried)
    np.testing.assert_allclose(GpuEngine(problem).self_skills(range(3), tried), expected, atol=1e-4)


@pytest.mark.parametrize("dimension", [1, 20])
def test_several_panels_of_candidates_agree_with_the_cpu(monkeypatch, dimension):
    monkeypatch.setattr(gpu_arrays, "PANEL", 64)
    problem = mapped(noisy_walks(3, 130), dimension, libraries=2)
    expected = CpuEngine(problem, 1).skills(range(2))
    np.testing.assert_allclose(GpuEngine(problem).skills(range(2)), expected, atol=1e-5)


def test_more_ties_than_a_list_holds_are_broken_by_time():
    # Two values: at E=1 half of all rows are equally near, many more than a list has room for.
    series_NT = np.sign(noisy_walks(3, 100))
    problem = mapped(series_NT, 1, CrossMapRule(1, 0, 2))
    expected = ReferenceEngine(problem, np.float32).skills(range(3))
    np.testing.assert_allclose(GpuEngine(problem).skills(range(3)), expected, atol=1e-5)


def test_short_neighbour_lists_are_completed_exactly():
    problem = mapped(noisy_walks(3, 500), 3, libraries=2)
    draws = LibraryDraws((8, 60), seed=1)
    expected = CpuEngine(problem, 1).skills(range(2), draws)
    np.testing.assert_allclose(GpuEngine(problem).skills(range(2), draws), expected, atol=1e-5)


def test_dimensions_of_many_targets_are_swept_at_once():
    series_NT = noisy_walks(130, 120)
    problem = mapped(series_NT, 1, by_target=np.arange(130) % 4 + 1, libraries=2)
    expected = CpuEngine(problem, 1).skills(range(2))
    np.testing.assert_allclose(GpuEngine(problem).skills(range(2)), expected, atol=1e-5)


def test_blocks_and_tiles_change_no_bit(monkeypatch):
    problem = mapped(noisy_walks(130, 100), 3, libraries=4)
    draws = LibraryDraws((40,), seed=2)
    whole = GpuEngine(problem).skills([2, 0, 3, 1], draws)
    monkeypatch.setattr(gpu, "plan_device", lambda *_: DeviceBlocks(libraries=1, tiles=1))
    pieces = [GpuEngine(problem).skills([library], draws) for library in (2, 0, 3, 1)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces, axis=1))


def test_sets_that_do_not_fit_together_are_brought_one_by_one(monkeypatch):
    problem = mapped(noisy_walks(70, 80), 1, by_target=np.arange(70) % 2 + 1, libraries=2)
    together = GpuEngine(problem)
    whole = together.skills(range(2))
    assert set(together._resident) == {0, 1}
    monkeypatch.setattr(gpu, "plan_device", lambda *_: DeviceBlocks(libraries=2, tiles=1))
    apart = GpuEngine(problem)
    np.testing.assert_array_equal(apart.skills(range(2)), whole)
    assert not apart._resident


def test_targets_in_half_precision_cost_little():
    problem = mapped(noisy_walks(40, 200), 3)
    half = replace(problem, precision="float16")
    found = GpuEngine(half).skills(range(3))
    np.testing.assert_allclose(found, CpuEngine(half, 1).skills(range(3)), atol=1e-5)
    assert 0 < np.nanmax(np.abs(found - GpuEngine(problem).skills(range(3)))) < 1e-3


def test_a_whole_brain_is_cut_into_blocks_that_fit():
    brain = DeviceShape(8_700, 8_528, 1, 11, 11, 1, tiles=1590)
    blocks = plan_device(brain, 75 * 2**30)
    assert blocks.tiles == 1590
    assert blocks.libraries > 16
    small = plan_device(brain, 4 * 2**30)
    assert 0 < small.tiles < 1590
    used = small.tiles * brain.tile_bytes + small.libraries * brain.library_bytes
    assert used < 4 * 2**30
    with pytest.raises(TectumError, match=r"at least [\d.]+ GiB"):
        plan_device(brain, 2**20)


def test_a_gpu_that_is_not_there_is_refused_clearly(monkeypatch):
    monkeypatch.setattr(gpu_arrays, "INTERPRETED", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_backend("auto") == "cpu"
    with pytest.raises(TectumError, match="no CUDA device"):
        open_engine(mapped(noisy_walks(3, 60), 2), "gpu")


def test_kernels_compile_for_hopper_and_spill_no_register():
    # A process of its own: here the kernels belong to the interpreter.
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    script = Path(__file__).with_name("compile_kernels.py")
    told = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
    ).stdout
    compiled = [json.loads(line) for line in told.splitlines()]
    assert {each["kernel"] for each in compiled} == {"search", "walk", "add_sums"}
    for each in compiled:
        assert each["spilled"] == 0, each
        assert each["registers"] <= 168, each
        # Distances must round as the CPU's do, or ties would be ordered otherwise.
        assert each["kernel"] != "search" or not each["contracted"], each
    assert all(each["loads_of_16_bytes"] for each in compiled if each["kernel"] == "add_sums")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_long_series_agree_with_the_cpu_on_a_device():
    problem = mapped(noisy_walks(300, 4000), 10, libraries=40)
    draws = LibraryDraws((400, 1600), seed=3)
    expected = CpuEngine(problem).skills(range(40), draws)
    np.testing.assert_allclose(GpuEngine(problem).skills(range(40), draws), expected, atol=1e-4)
