"""Plans grow as the arithmetic does, and never start what they describe."""

import pytest

from schemas.errors import TectumError
from schemas.settings.causal import CausalSettings
from schemas.settings.screening import ScreeningSettings
from tasks.causal.plan import (
    EngineSpeed,
    describe_plan,
    measure_speed,
    memory_needed,
    plan_cross_map,
    require_memory,
)

WHOLE = CausalSettings(screening=ScreeningSettings(above=10**9))
SPEED = EngineSpeed(distances=1e9, lookups=1e10, layouts=1e7)


def test_costs_grow_with_nodes_and_samples():
    settings = CausalSettings(surrogates=0)
    small, wide, long = (
        plan_cross_map(n, t, settings, SPEED) for n, t in ((100, 1000), (200, 1000), (100, 2000))
    )
    assert small.pairs == 9900
    assert wide.lookups == pytest.approx(4 * small.lookups)
    assert long.distances == pytest.approx(4 * small.distances)
    assert small.seconds < min(wide.seconds, long.seconds)


def test_a_whole_brain_is_planned_not_started():
    plan = plan_cross_map(101_729, 8_528, CausalSettings(), SPEED)
    # The recording is 3.5 GB; all pairs' skills alone would be 41 GB, and are not held.
    assert 8 * 3.5e9 < plan.memory_bytes < 40e9
    assert plan.survivors == 101_729 * 32
    assert plan.seconds > 3600


def test_screening_costs_a_small_part_of_all_pairs():
    few = CausalSettings(screening=ScreeningSettings(above=1000))
    screened, whole = (plan_cross_map(10_000, 2000, s, SPEED) for s in (few, WHOLE))
    assert whole.survivors is None
    assert screened.lookups < 0.1 * whole.lookups
    assert screened.memory_bytes < 0.5 * whole.memory_bytes
    assert "at most 320,000 pairs survive" in describe_plan(screened)


def test_the_machine_can_be_measured():
    speed = measure_speed(CausalSettings())
    assert speed.distances > 1e7
    assert speed.lookups > 1e7
    assert speed.layouts > 1e5


def test_what_does_not_fit_is_refused_with_its_size():
    require_memory(100, 1000, CausalSettings())
    with pytest.raises(TectumError, match=r"10,000,000 nodes of 8,528 samples: ") as caught:
        require_memory(10_000_000, 8_528, CausalSettings())
    for told in ("ordered pairs", "survive", "memory: ", "time: about"):
        assert told in str(caught.value)


def test_each_worker_on_this_machine_lays_the_problem_out():
    alone, four = (memory_needed(1000, 8528, CausalSettings(threads=1), n) for n in (0, 4))
    # Each holds the padded series and its tiles; the results are held once.
    assert 4 * 4 * 4 * 1000 * 8528 < four - alone < 4 * alone


def test_a_plan_is_told_in_words():
    told = describe_plan(plan_cross_map(1000, 8528, CausalSettings(), SPEED))
    assert "999,000 ordered pairs" in told
    assert "GiB" in told
    assert "hours" in told or "minutes" in told
