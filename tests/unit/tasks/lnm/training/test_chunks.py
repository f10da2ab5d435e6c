"""A session read in chunks: bounded, in an order that the seed fixes, of training time alone."""

import numpy as np
import pytest
import torch

from tasks.lnm.results import train_and_examine
from tasks.lnm.training import chunks, optimise
from tasks.lnm.training.batches import draw_ahead
from tasks.lnm.training.session import divide_recording
from tasks.lnm.training.train import train_model

HELD_GIB = 4 * 2400 * 8 / 2**30
"""Room for 1,800 samples of eight columns, and for 600 in chunks."""


@pytest.fixture(scope="module")
def small(quick):
    return quick.model_copy(
        update={"held_gib": HELD_GIB, "steps": 30, "baselines": (), "generated_s": 0.0}
    )


@pytest.fixture(scope="module")
def session(long_source, small):
    return divide_recording(long_source, small)


@pytest.fixture
def short_turns(monkeypatch):
    monkeypatch.setattr(chunks, "STEPS", 7)
    monkeypatch.setattr("tasks.lnm.training.optimise.VALIDATE_EVERY", 10)


def test_what_fits_in_memory_is_held_whole(long_source, quick):
    settings = quick.model_copy(update={"baselines": ()})
    session = divide_recording(long_source, settings)
    assert session.chunks is None
    np.testing.assert_array_equal(session.recording.values_TV, long_source.whole().values_TV)


def test_no_more_is_held_than_was_said_and_of_every_part(session):
    assert 1200 < len(session.recording.time_T) <= 1.2 * 1800
    assert {0, 1, 2} == set(session.part_T)
    held = [b - a for a, b in session.chunks.pieces]
    assert 4 * max(held) * 8 <= HELD_GIB * 2**28 / 4 * 1.1 or max(held) == 8 * session.window


def test_chunks_hold_the_recording_itself_of_training_time_only(long_source, session):
    own = session.chunks
    pieces = own.pieces
    covered = np.concatenate([np.arange(*piece) for piece in pieces])
    assert own.training_T[covered].all()
    assert len(covered) > 0.97 * own.training_T.sum()
    chosen = own.choose(pieces, 0, 1)
    held = own.hold(chosen)
    real_TV = np.concatenate([long_source.read(*piece) for piece in chosen])[:, own.index]
    np.testing.assert_array_equal(held.material.z_TV, own.scaler.standardise(real_TV))
    assert (held.material.fold_T >= 0).all()
    first, length = held.windows.T
    ends = np.cumsum([b - a for a, b in chosen])
    assert (
        np.searchsorted(ends, first, "right") == np.searchsorted(ends, first + length - 1, "right")
    ).all()


def test_every_chunk_is_seen_once_before_any_is_seen_again(session):
    pieces = session.chunks.pieces
    turns = [session.chunks.choose(pieces, 3, turn) for turn in range(len(pieces))]
    seen = [piece for turn in turns for piece in turn]
    assert sorted(seen[: len(pieces)]) == sorted(pieces)
    assert sorted(seen[len(pieces) : 2 * len(pieces)]) == sorted(pieces)
    assert seen[: len(pieces)] != seen[len(pieces) : 2 * len(pieces)]
    assert seen[:4] != session.chunks.choose(pieces, 4, 0)


def test_a_fold_that_is_left_out_is_not_read(session):
    left = session.leave_out(1, 3)
    lost_s = session.recording.time_T[(session.part_T == 0) & (left.part_T != 0)]
    time_T = session.chunks.source.clock.time_T
    for start, stop in left.chunks.pieces:
        inside_T = (time_T[start:stop] > lost_s[0]) & (time_T[start:stop] < lost_s[-1])
        assert not inside_T.any()


def test_batches_go_on_from_any_step_as_they_would_have(session, small, short_turns):
    state = np.random.default_rng(0).bit_generator.state
    whole = list(draw_ahead([session], small, state, range(1, 24)))
    again = list(draw_ahead([session], small, whole[9][1], range(11, 24)))
    for ((one,), after, _), ((two,), after_too, _) in zip(whole[10:], again, strict=True):
        assert after == after_too
        assert all(map(torch.equal, one.inputs[:-1], two.inputs[:-1]))
        assert torch.equal(one.z_BLV, two.z_BLV)


def test_a_run_that_was_cut_off_ends_bit_identical(
    session, small, short_turns, tmp_path, monkeypatch
):
    whole, _ = train_model(session, small)
    take, taken = optimise.take_step, []

    def stop_at_17(*args):
        taken.append(1)
        if len(taken) == 17:
            raise KeyboardInterrupt
        return take(*args)

    with monkeypatch.context() as cut:
        cut.setattr(optimise, "take_step", stop_at_17)
        with pytest.raises(KeyboardInterrupt):
            train_model(session, small, tmp_path)
    resumed, _ = train_model(session, small, tmp_path)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name])


def test_a_session_of_which_a_third_is_held_is_answered(long_source, small):
    result = train_and_examine(long_source, small)
    scores = {(s.task, s.target): s.model for s in result.exam.scores if s.horizon < 0}
    assert len(result.session.recording.time_T) < 0.4 * len(long_source.clock.time_T)
    assert scores["decode", "running/b0"] > 0.7
    assert result.left_out == []
