"""Whole regions of the brain imputed from all else, where that is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.lnm.data.grouping import number_regions
from tasks.lnm.data.recording import Columns
from tasks.lnm.queries.query import impute, linear_task
from tasks.lnm.results import train_and_examine

REGIONS = ("V1", "V1", "M2", "M2", "M2", "", "V1", "M2", "", "")


@pytest.fixture(scope="module")
def recording(product_session):
    columns = replace(product_session.columns, regions=REGIONS)
    return replace(product_session, columns=columns)


def test_units_are_numbered_by_region_where_there_are_two(recording):
    assert number_regions(recording.columns).tolist() == [0, 0, 1, 1, 1, -1, 0, 1, -1, -1]
    alone = replace(recording.columns, regions=("V1",) * 8 + ("",) * 2)
    assert (number_regions(alone) == -1).all()
    assert (number_regions(Columns(("a", "b"), ("a", "b"), ("calcium",) * 2)) == -1).all()


def test_a_region_is_imputed_by_a_task_of_its_own(recording, quick):
    settings = quick.model_copy(update={"regions": True, "steps": 40, "generated_s": 0.0})
    result = train_and_examine(recording, settings)
    score = next(s for s in result.exam.scores if s.task == "region")
    assert score.target == "calcium"
    assert score.model > 0.8
    assert score.verdict != "loss"
    region_V = np.array(REGIONS) == "V1"
    assert linear_task(result.model, ~region_V, region_V) == ("region", 0)
    names = [name for name, own in zip(recording.columns.names, region_V, strict=True) if own]
    answer = impute(result.model, recording, names, t0=200.0)
    real_TN = recording.values_TV[-answer.sizes["time"] :, region_V]
    left = np.var(real_TN - answer["mean"].values) / np.var(real_TN)
    assert left < 0.25


def test_nobody_who_did_not_ask_gets_it(product_result):
    assert (product_result.model.skip.together["region"] == -1).all()
    assert "region" in product_result.exam.skipped
    assert not [s for s in product_result.exam.scores if s.task == "region"]
