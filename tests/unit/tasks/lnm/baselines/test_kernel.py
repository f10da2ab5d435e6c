"""Kernel ridge on behaviour: knows products, is stored, is no bar, and sees no test part."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.settings.lnm import LnmSettings
from tasks.lnm.baselines.kernel import fit_kernel
from tasks.lnm.baselines.plain import fit_multiscale_ridge
from tasks.lnm.baselines.rivals import fit_rivals
from tasks.lnm.data.recording import Columns, Recording, fit_scaler
from tasks.lnm.data.runs import forecast_origins
from tasks.lnm.linear.problems import make_problems
from tasks.lnm.linear.stored_skip import describe_map, map_arrays, read_map

WINDOW = 16


def wander(rng, length, columns, keep=0.9):
    path_TC = np.zeros((length, columns))
    for t in range(1, length):
        step_C = rng.standard_normal(columns)
        path_TC[t] = keep * path_TC[t - 1] + np.sqrt(1 - keep**2) * step_C
    return path_TC


def film(units: int) -> Recording:
    """Two channels of pose, a picture that shows their product, and units that tell nothing."""
    rng = np.random.default_rng(1)
    length = 2400
    pose_TC = wander(rng, length, 2)
    picture_T = pose_TC.prod(1) + 0.1 * rng.standard_normal(length)
    noise_TN = rng.standard_normal((length, units))
    names = (*(f"cells/c{i}" for i in range(units)), "pose/x", "pose/y", "camera/motion")
    return Recording(
        np.column_stack([noise_TN, pose_TC, picture_T]).astype(np.float32),
        np.arange(length) / 10.0,
        np.zeros(length, np.int64),
        10.0,
        Columns(
            names,
            ("cells",) * units + ("pose", "pose", "camera"),
            ("calcium",) * units + ("pose", "pose", "video"),
        ),
    )


def divide(recording):
    part_T = np.repeat([0, 1, 2], len(recording.time_T) // 3)
    scaler = fit_scaler(recording, part_T == 0)
    return part_T, scaler, scaler.standardise(recording.values_TV)


def problem_of(recording, answered):
    part_T, scaler, z_TV = divide(recording)
    number = recording.columns.names.index(answered)
    made = make_problems(z_TV, recording.segment_T, part_T, recording.columns, scaler, WINDOW, 0)
    return next(p for p in made if p.name.startswith("stream") and number in p.outputs), z_TV


def explained(fitted, z_TV, rows):
    truth = z_TV[np.ix_(rows, fitted.problem.outputs)]
    return 1 - ((fitted.locate(rows) - truth) ** 2).mean() / truth.var()


@pytest.mark.parametrize("units", [6, 300])
def test_a_product_of_channels_is_known_beside_few_units_and_many(units):
    problem, z_TV = problem_of(film(units), "camera/motion")
    rows = np.arange(1600, 2400)
    kernel, ridge = fit_kernel(problem), fit_multiscale_ridge(problem)
    assert kernel is not None
    assert explained(ridge, z_TV, rows) < 0.1
    assert explained(kernel, z_TV, rows) > 0.85


def test_what_sees_no_behaviour_has_no_kernel(product_session):
    part_T, scaler, z_TV = divide(product_session)
    about = (product_session.segment_T, part_T, product_session.columns, scaler, WINDOW, 0)
    decode = next(p for p in make_problems(z_TV, *about) if p.name == "decode")
    assert fit_kernel(decode) is None


def test_the_test_part_does_not_change_the_kernel():
    recording = film(6)
    other = recording.values_TV.copy()
    other[1600:] = np.random.default_rng(9).standard_normal(other[1600:].shape)
    rows = np.arange(800, 1600)
    answers = [
        fit_kernel(problem_of(r, "camera/motion")[0]).locate(rows - WINDOW)
        for r in (recording, replace(recording, values_TV=other))
    ]
    np.testing.assert_array_equal(*answers)


@pytest.fixture(scope="module")
def rivals_of_film():
    recording = film(6)
    part_T, scaler, z_TV = divide(recording)
    origin_O, _ = forecast_origins([(1600, 2400)], WINDOW)
    asked = (z_TV, part_T, scaler, origin_O, WINDOW)
    return recording, scaler, fit_rivals(recording, *asked, LnmSettings())


def test_the_skip_is_made_of_it_though_it_is_no_bar(rivals_of_film):
    recording, _, (skip, rivals, _) = rivals_of_film
    number = recording.columns.names.index("camera/motion")
    own = next(m for n, m in skip.maps.items() if n.startswith("stream") and number in m.outputs)
    assert own.blends[0].mean["kernel"].max() >= 0.75
    assert "kernel" not in rivals.bars.values()
    assert all(name != "kernel" for answers in rivals.answers.values() for _, name in answers)
    # A unit goes on from its own past, which the kernel does not see.
    assert not any(
        blend.mean["kernel"][:6].any()
        for blend in skip.maps["forecast"].blends
        if "kernel" in blend.mean
    )


def test_a_stored_kernel_answers_as_before(rivals_of_film):
    recording, scaler, (skip, _, _) = rivals_of_film
    z_TV = scaler.standardise(recording.values_TV)
    maps, of_format_7 = {}, {}
    for name, own in skip.maps.items():
        arrays = {f"m.{key}": np.ascontiguousarray(a) for key, a in map_arrays(own).items()}
        told = describe_map(own)
        maps[name] = read_map("m", told, arrays, scaler, recording.columns)
        lift = {key: arrays.pop(key) for key in list(arrays) if key.startswith("m.lift.")}
        for at, blend in enumerate(told["blends"]):
            for member in [n for n, m in blend["members"].items() if m.get("lifted")]:
                arrays |= {f"m.{at}.member.{member}.{k[2:]}": a for k, a in lift.items()}
        of_format_7[name] = read_map("m", told, arrays, scaler, recording.columns)
    ahead = skip.causal_features(z_TV, [(0, 2400)])[1600:], z_TV[1600:]
    skips = [replace(skip, maps=m) for m in (skip.maps, maps, of_format_7)]
    found = [s.locate_all("stream", z_TV, [(0, 2400)])[:] for s in skips]
    forecasts = [s.forecast(*ahead) for s in skips]
    for stored in (1, 2):
        np.testing.assert_array_equal(found[0], found[stored])
        for before, after in zip(forecasts[0], forecasts[stored], strict=True):
            np.testing.assert_array_equal(before, after)
    assert np.abs(found[0]).max() > 1
    for own in (maps["forecast"], of_format_7["forecast"]):
        lifts = {id(b.members["kernel"].lift) for b in own.blends if "kernel" in b.members}
        assert len(lifts) == 1
