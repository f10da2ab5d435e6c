"""What columns of like label share: known maps are found, and a new animal's minute gains."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tasks.lnm.baselines.shared import learn_maps
from tasks.lnm.data.division import divide
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.training.rehearsal import known_minutes
from tasks.lnm.training.session import divide_recording

WINDOW = 16


def simulate_animal(seed: int, units: int) -> Recording:
    """Units follow their own past and the animal's running; it alone is seen by all of them."""
    rng = np.random.default_rng(seed)
    length = 2000
    running_T, unit_TN = np.zeros(length), np.zeros((length, units))
    for t in range(1, length):
        running_T[t] = 0.95 * running_T[t - 1] + 0.3 * rng.standard_normal()
        drive = 0.5 * running_T[t - 1] + 0.6 * rng.standard_normal(units)
        unit_TN[t] = 0.6 * unit_TN[t - 1] + drive
    names = [*(f"imaging/{seed}-{n}" for n in range(units)), "running"]
    kinds = ["calcium"] * units + ["running"]
    streams = ["imaging"] * units + ["running"]
    return Recording(
        np.concatenate([unit_TN, running_T[:, None]], axis=1).astype(np.float32),
        np.arange(length) / 10.0,
        np.zeros(length, np.int64),
        10.0,
        Columns(tuple(names), tuple(streams), tuple(kinds)),
    )


@pytest.fixture(scope="module")
def donors() -> list[Recording]:
    return [simulate_animal(1, 12), simulate_animal(2, 7)]


def settings_of(quick):
    return quick.model_copy(update={"window": WINDOW, "baselines": ()})


def test_a_minute_of_a_new_animal_gains_by_what_others_share(donors, quick):
    settings = settings_of(quick)
    shared = learn_maps([divide(donor, settings) for donor in donors], settings)
    assert shared is not None
    new = simulate_animal(3, 40)

    def error(maps) -> float:
        session = divide_recording(new, settings, partial(known_minutes, minutes=0.5), maps)
        at_O = session.origin_O
        answer_OHV, _ = session.material.forecast_base(at_O)
        real_OV = session.material.z_TV[at_O + 1]
        return float(((answer_OHV[:, 0] - real_OV)[:, :40] ** 2).mean())

    assert error(shared) < 0.9 * error(None)


def test_other_windows_or_rates_share_nothing(donors, quick):
    settings = settings_of(quick)
    faster = replace(donors[1], rate_hz=20.0, time_T=donors[1].time_T / 2)
    assert learn_maps([divide(r, settings) for r in (donors[0], faster)], settings) is None
    shared = learn_maps([divide(donor, settings) for donor in donors], settings)
    alone, given = (divide_recording(faster, settings, None, maps) for maps in (None, shared))
    np.testing.assert_array_equal(alone.material.base["encode"], given.material.base["encode"])


def test_test_parts_are_not_learnt_from(donors, quick):
    settings = settings_of(quick)
    changed = [replace(r, values_TV=r.values_TV.copy()) for r in donors]
    for recording in changed:
        recording.values_TV[-300:] *= -5
    one, two = (
        learn_maps([divide(r, settings) for r in recordings], settings)
        for recordings in (donors, changed)
    )
    for key, weights in one.weights.items():
        np.testing.assert_array_equal(weights, two.weights[key])
