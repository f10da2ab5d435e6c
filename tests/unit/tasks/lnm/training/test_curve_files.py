"""Curves that TensorBoard can read, written while a training goes on."""

import struct

import pytest
from tensorboardX.proto.event_pb2 import Event

from tasks.lnm.training.curve_files import curves_to, draw_point
from tasks.lnm.training.session import divide_recording
from tasks.lnm.training.train import train_model


def read_curves(folder):
    """Return every point in the event files of a folder, by the curve's name: {step: value}."""
    found: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_curves_of_a_training_are_those_that_it_returns(product_session, quick, tmp_path):
    settings = quick.model_copy(update={"steps": 100, "baselines": ()})
    with curves_to(tmp_path):
        _, curves = train_model(divide_recording(product_session, settings), settings)
    drawn = read_curves(tmp_path)
    assert set(drawn) == {"loss/train", "loss/validation", "learning_rate"}
    pairs = dict(zip(curves.step, curves.validation_loss, strict=True))
    del pairs[0]
    assert len(pairs) == 2
    assert drawn["loss/validation"] == pytest.approx(pairs, rel=1e-6)


def test_without_a_folder_nothing_is_drawn(tmp_path):
    draw_point(1, {"loss/train": 1.0})
    with curves_to(tmp_path / "a"):
        draw_point(1, {"loss/train": 2.0})
    draw_point(2, {"loss/train": 3.0})
    assert read_curves(tmp_path / "a") == {"loss/train": {1: 2.0}}
