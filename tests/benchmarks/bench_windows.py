"""Random windows from Zarr: chunk-shuffled against one read for each window, same array, one run.

The arrays are those of the published measurements: windows of 64 samples x 2,000 units in half
precision, in the file system's cache; once in chunks of 256 samples with all units, once as the
lake stores an aligned session.
"""

import numpy as np
import pytest
import zarr

from tasks.common.window_reads import shuffled_windows
from tasks.common.zarr_trees import FLOAT_CODEC, default_chunks

ROWS, UNITS, LENGTH, RANDOM = 40_000, 2_000, 64, 60


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["256 x all", "lake"])
def test_shuffled_windows_against_random_reads(benchmark, cost, tmp_path, layout):
    chunks = (256, UNITS) if layout == "256 x all" else default_chunks((ROWS, UNITS))
    codec = "auto" if layout == "256 x all" else FLOAT_CODEC
    stored = zarr.create_array(
        tmp_path / "a.zarr", shape=(ROWS, UNITS), chunks=chunks, dtype="f2", compressors=codec
    )
    rng = np.random.default_rng(0)
    for start in range(0, ROWS, 4_000):
        stored[start : start + 4_000] = rng.standard_normal((4_000, UNITS), np.float32)
    firsts = rng.integers(0, ROWS - LENGTH, RANDOM if layout != "lake" else 10).tolist()

    def one_by_one():
        return [np.asarray(stored[first : first + LENGTH]) for first in firsts]

    def shuffled():
        windows = shuffled_windows(
            stored, LENGTH, np.random.default_rng(1), chunk_rows=chunks[0], buffer=64
        )
        total, taken = 0, []
        for first, window in windows:
            total += 1
            if total % 100 == 0:
                taken.append((first, window))
        return total, taken

    one_by_one()
    random = cost(one_by_one)
    ours = benchmark.pedantic(lambda: cost(shuffled), rounds=1, warmup_rounds=1)
    total, taken = ours.result
    for first, window in taken:
        np.testing.assert_array_equal(window, stored[first : first + LENGTH])
    rate, random_rate = total / ours.seconds, len(firsts) / random.seconds
    benchmark.extra_info |= {
        "windows_per_s": rate, "random_per_s": random_rate, "ratio": rate / random_rate,
        "MB": ours.megabytes, "random_MB": random.megabytes,
    }  # fmt: skip
    print(f"\n{layout}: {benchmark.extra_info}")  # noqa: T201
    assert rate / random_rate > 5
