"""Plans grow as the arithmetic does, and never start what they describe."""

import pytest

from schemas.errors import TectumError
from schemas.settings.causal import CausalSettings
from tasks.causal.plan import (
    EngineSpeed,
    describe_plan,
    measure_speed,
    plan_cross_map,
    require_memory,
)

SPEED = EngineSpeed(distances=1e9, lookups=1e10)


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
    assert plan.memory_bytes > 40e9
    assert plan.seconds > 3600


def test_the_machine_can_be_measured():
    speed = measure_speed(CausalSettings())
    assert speed.distances > 1e7
    assert speed.lookups > 1e7


def test_what_does_not_fit_is_refused_with_its_size():
    require_memory(100, 1000, CausalSettings())
    with pytest.raises(TectumError, match=r"10,000,000 nodes .* needs [\d,.]+ GiB") as caught:
        require_memory(10_000_000, 8_528, CausalSettings())
    assert "causal plan" in str(caught.value)


def test_a_plan_is_told_in_words():
    told = describe_plan(plan_cross_map(1000, 8528, CausalSettings(), SPEED))
    assert "999,000 ordered pairs" in told
    assert "GiB" in told
    assert "hours" in told or "minutes" in told
