"""What is held of a session that does not fit in memory: its beginning, and all over its parts."""

import numpy as np
import pytest

from schemas.errors import RecordingTooShortError
from tasks.lnm.data.division import choose_stretches, divide, hold
from tasks.lnm.training.rehearsal import known_minutes, rehearse

HELD_GIB = 4 * 3200 * 8 / 2**30
"""Room for 2,400 samples of eight columns, and for 800 in chunks."""


@pytest.fixture(scope="module")
def little(quick):
    return quick.model_copy(update={"held_gib": HELD_GIB, "baselines": ()})


def test_stretches_are_evenly_spread_over_each_part():
    part_T = np.repeat([0, 1, 2], [64_000, 16_000, 16_000])
    runs = [(0, 64_000), (64_000, 80_000), (80_000, 96_000)]
    found = choose_stretches(runs, part_T, 16, 0.1)
    for part, (start, stop) in enumerate(runs):
        own = [(a, b) for a, b in found if part_T[a] == part]
        assert sum(b - a for a, b in own) == pytest.approx(0.1 * (stop - start), rel=0.3)
        assert own[0][0] < start + 1000
        assert own[-1][1] > stop - 1000


def test_the_first_minutes_are_held_as_they_are(long_source, little):
    held, whole = hold(long_source, little, minutes=1.5), divide(long_source.whole(), little)
    assert held.unbroken == 900
    assert len(held.recording.time_T) <= 1.2 * 2400
    for minutes, start in ((1.0, 0.0), (0.5, 1.0)):
        own, all_ = (known_minutes(part, minutes, start) for part in (held, whole))
        for part in ("train", "validation"):
            at = [d.recording.time_T[getattr(s, part)] for d, s in ((held, own), (whole, all_))]
            np.testing.assert_array_equal(*at)
    test_s = [d.recording.time_T[d.split.test] for d in (held, whole)]
    assert np.isin(*test_s).all()
    assert len(test_s[0]) >= 512


def test_minutes_that_are_not_held_are_not_made_up(long_source, little):
    held = hold(long_source, little, minutes=1.5)
    with pytest.raises(RecordingTooShortError, match="do not fit in memory"):
        known_minutes(held, 1.0, 1.0)
    # More than half of what may be held is never taken by the beginning alone.
    assert hold(long_source, little, minutes=9.0).unbroken == 1200
    assert len(rehearse(held, 0.5, little)) == 3
    assert len(rehearse(held, 1.0, little)) == 1


def test_a_share_of_the_memory_holds_a_share(long_source, little):
    whole, half = (hold(long_source, little, share, minutes=9.0) for share in (1.0, 0.5))
    assert half.unbroken == whole.unbroken // 2
    assert len(half.recording.time_T) < len(whole.recording.time_T)
    assert half.beyond.values == whole.beyond.values // 2
    assert hold(long_source, little.model_copy(update={"held_gib": 1.0})).beyond is None
