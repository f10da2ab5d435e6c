"""Names and kinds."""

import pytest

from tasks.ingest.kinds import AUDIO, EVENT, EYE, MOTION, has_word
from tasks.ingest.names import slug, unit_symbol
from tasks.ingest.read_pose import split_individuals


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DfOverF", "df_over_f"),
        ("ElectricalSeriesLF", "electrical_series_lf"),
        ("DefaultTTLSignal", "default_ttl_signal"),
        ("FIP_falling_time", "fip_falling_time"),
        ("Ball speed (cm/s)", "ball_speed_cm_s"),
        ("Aufzeichnung für Über", "aufzeichnung_fur_uber"),
        ("神経", "stream"),
        ("clock", "clock_stream"),
    ],
)
def test_slugs(name, expected):
    assert slug(name) == expected


def test_units_are_never_taken_for_times():
    assert unit_symbol("seconds") == "s"
    assert unit_symbol("frames since start") == "frames_since_start"
    assert unit_symbol("") == "unknown"


@pytest.mark.parametrize(
    ("name", "words", "there"),
    [
        ("pupil_diameter_left", EYE, True),
        ("eyelid_aperture", EYE, True),
        ("keyed_input", EYE, False),
        ("Microphone1", AUDIO, True),
        ("mice_count", AUDIO, False),
        ("head_imu", MOTION, True),
        ("BallSpeed", MOTION, True),
        ("left_lick_time", EVENT, True),
        ("flicker", EVENT, False),
    ],
)
def test_words_count_whole(name, words, there):
    assert has_word(name, words) is there


def test_individuals_are_told_from_keypoints():
    nodes = ["snout", "tail", "tail_base"]
    names = ["a_snout", "a_tail_base", "b_snout", "b_tail_base"]
    assert split_individuals(names, nodes) == [
        ("a", "snout"), ("a", "tail_base"), ("b", "snout"), ("b", "tail_base")
    ]  # fmt: skip
    assert split_individuals(["ind1_a", "ind1_b"], ["ind1_a", "ind1_b"]) == [
        ("ind1", "a"),
        ("ind1", "b"),
    ]
    for incomplete in (["a_snout", "b_tail"], ["front_left_paw", "front_right_paw"], ["snout"]):
        assert split_individuals(incomplete, nodes) == [("individual_0", n) for n in incomplete]
