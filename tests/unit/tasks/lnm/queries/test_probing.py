"""What is known to be inside is found inside; what is taken away is missed."""

import numpy as np
import pytest

from tasks.lnm.ablation import ablate
from tasks.lnm.queries.probing import compare_geometry, embed, hidden_states, probe_layers


def test_states_are_of_patches_that_do_not_overlap(product_result):
    model, session = product_result.model, product_result.session
    every_V = np.ones(10, bool)
    first_P, states = hidden_states(model, session.material, session.runs(2), every_V)
    assert states.shape == (3, len(first_P), 64)
    assert (np.diff(first_P) >= 2).all()
    assert (session.part_T[first_P] == 2).all()
    embedded = embed(model, session.material, session.runs(2), session.recording.time_T)
    np.testing.assert_array_equal(embedded["state"], states)
    assert embedded["time"].values[1] - embedded["time"].values[0] == pytest.approx(0.2)


def test_behaviour_can_be_read_off_the_states_and_off_chance_it_cannot(product_result):
    session = product_result.session
    runs = [session.runs(part) for part in range(3)]
    probed = probe_layers(product_result.model, session.material, runs)
    # The first channel is a latent that the units mix: what is read in already holds it.
    first = probed.sel(column="running/first")
    assert (first["r2"] > 0.5).all()
    assert (first["control"] < 0.2).all()
    # The product is in no linear read-in; the blocks make it.
    product = probed.sel(column="running/product")["r2"].values
    assert product[-1] > product[0] + 0.1


def test_the_models_geometry_is_compared_with_that_of_the_neurons(product_result):
    session = product_result.session
    compared = compare_geometry(product_result.model, session.material, session.runs(2))
    assert compared.sizes["layer"] == 3
    assert (compared["similarity"].values > compared["control"].values).any()
    assert (np.abs(compared["similarity"]) <= 1).all()


def test_what_is_taken_away_is_missed(product_result, quick):
    settings = quick.model_copy(update={"steps": 20})
    found = ablate(
        product_result.model, product_result.session, product_result.exam.scores, settings
    )
    value = {
        (str(task), str(target)): dict(
            zip(found["variant"].values.tolist(), found["value"].values[:, at], strict=True)
        )
        for at, (task, target) in enumerate(
            zip(found["task"].values, found["target"].values, strict=True)
        )
        if found["horizon"].values[at] < 0
    }
    product, first = (value["decode", f"running/{name}"] for name in ("product", "first"))
    assert product["whole"] > product["skip_only"] + 0.2
    for gone in ("no_neurons", "shuffled_units", "session_only"):
        assert first[gone] < first["whole"] - 0.3
    # Decoding never sees behaviour, so that its absence changes nothing.
    assert first["no_behaviour"] == pytest.approx(first["whole"], abs=1e-6)
    assert np.isfinite(product["no_skip"])
