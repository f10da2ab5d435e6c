"""One core for several sessions; a new session is fitted to its first minutes alone."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from schemas.errors import RecordingTooShortError
from tasks.lnm.adaptation import adapt, core_of, few_shot_curve, pretrain
from tasks.lnm.data.division import divide
from tasks.lnm.data.reading import Source
from tasks.lnm.data.runs import split_with_guard
from tasks.lnm.training.gating import Measured, pool_evidence
from tasks.lnm.training.rehearsal import rehearse, weigh_evidence
from tasks.lnm.training.session import prepare_session
from tasks.lnm.training.train import train_models


def test_sessions_share_a_core_and_keep_their_own_embeddings(
    product_session, spiking_session, quick
):
    settings = quick.model_copy(update={"steps": 6, "baselines": ()})
    sessions = [
        prepare_session(r, split_with_guard(r, settings.split, 16), 16, settings)
        for r in (product_session, spiking_session)
    ]
    models, curves = train_models(sessions, settings)
    assert curves.step[-1] == 12
    one, two = (model.network.networks[0] for model in models)
    assert one.read.shape != two.read.shape
    for name, tensor in core_of(one).items():
        assert torch.equal(tensor, two.state_dict()[name])
    alone, _ = train_models(sessions[:1], settings)
    assert not torch.equal(
        alone[0].network.networks[0].blocks[0].up.weight, one.blocks[0].up.weight
    )


def test_a_curve_over_minutes_of_a_session_never_seen(product_session, quick):
    settings = quick.model_copy(
        update={"steps": 20, "baselines": (), "generated_s": 0.0, "bootstrap": 100}
    )
    other = replace(product_session, values_TV=product_session.values_TV[::-1].copy())
    learnt = pretrain([other], (0.5,), settings)
    assert {name.split(".")[0] for name in learnt.core} == {"blocks", "norm", "guess", "inside"}
    assert ("decode", "running/first", 0) in learnt.evidence[0.5]
    curve = few_shot_curve(product_session, (0.5, 1.5), learnt, settings)
    assert curve["value"].dims == ("predictor", "minutes", "score")
    assert np.isfinite(curve["value"]).all()
    pairs = [*zip(curve["task"].values, curve["target"].values, strict=True)]
    at = pairs.index(("decode", "running/first"))
    assert curve["value"].sel(predictor="ridge").values[1, at] > 0.7
    # What comes after the minutes that were given, and before the test part, changes nothing.
    changed = product_session.values_TV.copy()
    changed[400:1900] = 0.0
    fitted = [
        adapt(replace(product_session, values_TV=v), 0.5, learnt, settings)
        for v in (product_session.values_TV, changed)
    ]
    assert [s.model for s in fitted[0].scores] == [s.model for s in fitted[1].scores]


def test_sessions_of_which_a_third_is_held_teach_and_are_learnt(long_source, quick):
    settings = quick.model_copy(update={"steps": 4, "baselines": (), "bootstrap": 100})
    small = settings.model_copy(update={"held_gib": 4 * 3200 * 8 / 2**30})
    read = []

    @dataclass(frozen=True)
    class Watched(Source):
        def read(self, start, stop):
            read.append(stop - start)
            return super().read(start, stop)

    source = Watched(**vars(long_source))
    # Four sessions are made of the one that is known: it gets a quarter of the memory.
    learnt = pretrain([source], (0.3,), small.model_copy(update={"held_gib": 4 * small.held_gib}))
    assert len(learnt.evidence) == 1
    curve = few_shot_curve(source, (1.0,), learnt, small)
    assert max(read) <= 1200
    whole = few_shot_curve(long_source, (1.0,), learnt, settings)
    # The same minute is fitted; of the test part a third is asked.
    decoded = ((curve["task"] == "decode") & (curve["target"] == "running/b0")).values
    for predictor in ("adapted", "ridge"):
        found = [c["value"].sel(predictor=predictor)[0, decoded].item() for c in (curve, whole)]
        assert min(found) > 0.7
        assert found[0] == pytest.approx(found[1], abs=0.1)


def test_too_few_minutes_are_refused(product_session, quick):
    with pytest.raises(RecordingTooShortError, match="too few windows"):
        adapt(product_session, 0.05, None, quick)


def test_a_rehearsal_is_learnt_from_outside_of_the_minutes_it_knows(product_session, quick):
    settings = quick.model_copy(update={"baselines": ()})
    one, two = rehearse(divide(product_session, settings), 0.5, settings)[:2]
    assert np.abs(one.scaler.mean_V - two.scaler.mean_V).max() > 0
    for session, first_s in ((one, 0.0), (two, 30.0)):
        known_T = np.abs(session.recording.time_T - first_s - 15.0) < 15.0
        assert not (known_T & (session.part_T >= 0)).any()
        assert set(np.unique(session.part_T)) == {-1, 0, 1}
        # The skip of those minutes answers there too.
        base_TV = session.material.base["decode"][session.part_T >= 0]
        assert base_TV[:, ~session.recording.columns.neural].std(0).min() > 0.1
        mixing = session.whole_mixing()
        assert mixing.gate is session.reach
        assert mixing.spread is session.spread
    assert rehearse(divide(product_session, settings), 30.0, settings) == []


def test_what_all_sessions_say_sets_the_gates(product_result):
    session = product_result.session
    shares = np.arange(5)[:, None]
    clear = Measured(5.0 - shares + np.zeros((5, 6)), np.zeros((5, 0)), np.full((5, 6), 4.0))
    against = clear._replace(error_AC=-9 * clear.error_AC)
    key = ("decode", "running/first", 0)
    weak = pool_evidence([{key: clear}, {("decode", "whiskers", 0): clear}])
    assert [share.mean for share in weigh_evidence(weak, session).values()] == [1.0]
    strong = pool_evidence([weak, {key: against}])
    assert weigh_evidence(strong, session)[key] == pytest.approx((0.0, 0.0, 2.0))
