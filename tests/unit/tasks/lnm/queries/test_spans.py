"""What is answered from a part of a session is what the whole of it would have answered."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from schemas.errors import NotFoundError
from schemas.settings.lnm_question import LnmQuestion
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Recording
from tasks.lnm.queries import spans
from tasks.lnm.queries.query import query
from tasks.lnm.queries.questions import ask
from tasks.lnm.queries.spans import query_source
from tasks.lnm.results import train_and_examine


@dataclass(frozen=True)
class Watched(Recording):
    """A recording that remembers how many samples were read at once."""

    read: list[int] = field(default_factory=list)

    def between(self, start: int, stop: int) -> Recording:
        self.read.append(stop - start)
        return super().between(start, stop)


@pytest.fixture
def gapped(product_session):
    """Two segments with a gap, and a unit that is missing for a long time."""
    segment_T = np.repeat([0, -1, 1], [1210, 30, 1160])
    values_TV = product_session.values_TV.copy()
    values_TV[segment_T < 0] = np.nan
    values_TV[700:1000, 3] = np.nan
    own = replace(product_session, segment_T=segment_T, values_TV=values_TV)
    return Watched(**vars(own))


@pytest.mark.parametrize(("t0", "t1"), [(0.0, 9.0), (66.6, 80.0), (110.0, 131.0), (230.0, 239.9)])
@pytest.mark.parametrize("target", ["running", "calcium", "calcium/n2"])
def test_a_span_is_answered_as_by_the_whole(product_result, gapped, target, t0, t1):
    asked = (product_result.model, gapped, [target])
    whole, part = query(*asked, t0=t0, t1=t1), query_source(*asked, t0=t0, t1=t1)
    assert part.attrs == whole.attrs
    assert max(gapped.read) <= len(whole["time"]) + 4 * product_result.model.window + 4
    for name in whole.data_vars:
        np.testing.assert_allclose(part[name], whole[name], atol=1e-5)


def test_a_long_answer_is_made_of_pieces(product_result, gapped, monkeypatch):
    monkeypatch.setattr(spans, "MOST_VALUES", 0)
    asked = (product_result.model, gapped, ["running"])
    whole, pieces = query(*asked), query_source(*asked)
    assert len(gapped.read) == 10
    assert max(gapped.read) <= 20 * product_result.model.window + 4
    assert pieces.attrs == whole.attrs
    np.testing.assert_array_equal(pieces["time"], whole["time"])
    np.testing.assert_allclose(pieces["mean"], whole["mean"], atol=1e-5)


@pytest.mark.parametrize("seen_until", [100.0, 90.0, 125.0, 200.0])
def test_a_forecast_reads_back_to_the_last_value_of_every_column(
    product_result, gapped, seen_until
):
    asked = (product_result.model, gapped, gapped.columns.names)
    when = {"visible": (), "t1": seen_until + 0.5, "seen_until": seen_until, "n_samples": 2}
    whole, part = query(*asked, **when), query_source(*asked, **when)
    # The third unit is not known for 30 s before the first two of these times.
    assert gapped.read[-1] < 1000
    for name in ("mean", "median", "sample"):
        np.testing.assert_allclose(part[name], whole[name], atol=1e-5)


def test_times_without_samples_are_told(product_result, gapped):
    with pytest.raises(NotFoundError, match="nothing was recorded from 500 to 600 s"):
        query_source(product_result.model, gapped, ["running"], t0=500.0, t1=600.0)
    with pytest.raises(NotFoundError, match="at 122 s"):
        query_source(product_result.model, gapped, ["running"], t1=123.0, seen_until=122.0)


@pytest.mark.parametrize("task", ["score", "probe"])
def test_more_than_fits_is_scored_and_probed_by_stretches_of_it(
    long_source, quick, task, monkeypatch
):
    settings = quick.model_copy(update={"steps": 20, "baselines": (), "generated_s": 0.0})
    model = train_and_examine(long_source.whole(), settings).model
    read = []

    @dataclass(frozen=True)
    class WatchedSource(Source):
        def read(self, start: int, stop: int):
            read.append(stop - start)
            return super().read(start, stop)

    source, question = WatchedSource(**vars(long_source)), LnmQuestion(task=task)
    whole = ask(model, source, question)
    assert sum(read) >= 5900
    read.clear()
    monkeypatch.setattr(spans, "MOST_SCORED", 2400 * 8)
    some = ask(model, source, question)
    assert sum(read) <= 1.2 * 2400
    assert max(read) <= 32 * model.window
    if task == "score":
        assert some.attrs["scored_s"] == pytest.approx(sum(read) / 10)
        np.testing.assert_array_equal(some["target"], whole["target"])
        np.testing.assert_allclose(some["model"], whole["model"], atol=0.15)
    else:
        np.testing.assert_allclose(some["r2"][-1, 0], whole["r2"][-1, 0], atol=0.15)
