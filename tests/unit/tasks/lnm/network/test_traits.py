"""Statistics of known series; names that say the same everywhere; nothing from outside training."""

from dataclasses import replace

import numpy as np

from tasks.lnm.data.recording import fit_scaler
from tasks.lnm.data.runs import find_runs
from tasks.lnm.network.traits import HASHED, TRAITS, describe_columns, hash_name


def describe(recording, train):
    scaler = fit_scaler(recording, train)
    return describe_columns(recording, find_runs(recording.segment_T), train, scaler)


def test_traits_tell_units_apart(spiking_session):
    train = np.arange(900) < 600
    traits_VF = describe(spiking_session, train)
    assert traits_VF.shape == (7, TRAITS)
    np.testing.assert_array_equal(traits_VF[:, 0], [1] * 6 + [0])
    counts = spiking_session.values_TV[train, :6]
    np.testing.assert_allclose(traits_VF[:6, 1], np.log(counts.mean(0) * 20) / 3, rtol=1e-4)
    fano = np.log(counts.var(0) / counts.mean(0))
    np.testing.assert_allclose(traits_VF[:6, 2], fano, atol=1e-4)
    # Opposite phases of one rhythm are tuned to it in opposite ways.
    tuned = traits_VF[:, -HASHED:] @ hash_name("wheel")
    assert tuned[0] > 0.3
    assert tuned[3] < -0.3


def test_only_training_samples_and_names_count(spiking_session):
    train = np.arange(900) < 600
    changed = spiking_session.values_TV.copy()
    changed[600:] = 5.0
    one, two = (
        describe(replace(spiking_session, values_TV=v), train)
        for v in (spiking_session.values_TV, changed)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(hash_name("wheel"), hash_name("wheel"))
    assert abs(hash_name("wheel") @ hash_name("pupil")) < 0.99


def test_places_are_told_from_their_middle(spiking_session):
    place_VX = np.full((7, 3), np.nan)
    place_VX[:6, 0] = np.arange(6)
    train = np.ones(900, bool)
    traits_VF = describe(replace(spiking_session, place_VX=place_VX), train)
    place = traits_VF[:, 8]
    np.testing.assert_allclose(place[:6].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(place[:6].std(), 1, atol=1e-5)
    assert place[6] == 0
