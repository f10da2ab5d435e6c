"""A published folder loads again with the same answers, and its card tells the scores."""

import json

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.streams import ROOT_ATTRS
from schemas.errors import LakeError, NotFoundError
from tasks.lnm.data.reading import open_for
from tasks.lnm.data.recording import Columns
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.query import decode
from tasks.lnm.queries.sharing import publish_model, pull_model
from tasks.lnm.results import result_tree


def test_published_and_pulled_answers_are_identical(product_result, product_session, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    save_model(product_result.model, made)
    scores = result_tree(product_result, dict.fromkeys(ROOT_ATTRS, "x"))["scores"].to_dataset()
    publish_model(made, tmp_path / "shared", scores, {"subject": "rat 7"}, "CC-BY-4.0")
    pulled = pull_model(tmp_path / "shared", tmp_path / "mine")
    names = {"README.md", "model.json", "model.safetensors"}
    assert {p.name for p in (tmp_path / "mine").iterdir()} == names
    xr.testing.assert_identical(
        decode(pulled, product_session, t1=30.0),
        decode(product_result.model, product_session, t1=30.0),
    )
    described = json.loads((made / "model.json").read_text())
    del described["network"]["origin"], described["network"]["origins"]
    (made / "model.json").write_text(json.dumps(described))
    assert load_model(made).network.config.origins == ()  # saved before there were any
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "CC-BY-4.0" in card
    assert "rat 7" in card
    assert card.count("| forecast |") == sum(
        s.task == "forecast" for s in product_result.exam.scores
    )


def test_other_files_are_not_mixed_with_a_model(product_result, tmp_path):
    save_model(product_result.model, tmp_path)
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(LakeError, match=r"thesis\.tex"):
        publish_model(tmp_path, tmp_path, xr.Dataset(), {}, "MIT")


def test_answers_carry_quantiles_and_their_origin(product_result, product_session):
    answer = decode(product_result.model, product_session, t1=30.0)
    middle = answer["quantile_value"].sel(quantile=0.5).values
    np.testing.assert_allclose(middle, answer["mean"].values, atol=1e-5)
    real = product_session.values_TV[: answer.sizes["time"], 8:]
    low, high = (answer["quantile_value"].sel(quantile=q).values for q in (0.05, 0.95))
    assert 0.75 < ((real >= low) & (real <= high)).mean() < 1.0
    assert len(answer.attrs["model_sha256"]) == 64
    assert answer.attrs["asked_t1"] == 30.0


def test_a_session_without_the_models_columns(make_aligned):
    tree = make_aligned(np.random.default_rng(0).random((20, 2)))
    assert open_for(
        Columns(("calcium/n1",), ("calcium",), ("calcium",)), tree
    ).whole().values_TV.shape == (
        20,
        1,
    )
    with pytest.raises(NotFoundError, match="lacks 1"):
        open_for(Columns(("calcium/n9",), ("calcium",), ("calcium",)), tree)
