"""Small sessions with a known answer, and one model trained on them for all tests."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import xarray as xr

from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.lnm.data.reading import Source, open_source
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.results import Result, train_and_examine

QUICK = LnmSettings(
    split=SplitSettings(guard_s=1.0),
    window=16,
    steps=160,
    batch_size=16,
    learning_rate=4e-3,
    bootstrap=200,
    # Not neighbours: two latents are few enough for them to know any function of both.
    baselines=("reduced_rank", "glm"),
    generated_s=3.0,
    n_samples=2,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Hold torch to one thread: sums come out the same on every machine's number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def quick() -> LnmSettings:
    """Settings that train in seconds."""
    return QUICK


@pytest.fixture(scope="session")
def product_session() -> Recording:
    """Eight calcium units mix two slow latents; behaviour is their product, and one of them.

    No linear map of the units knows the product, so what is learnt of it is not ridge's.
    """
    rng = np.random.default_rng(3)
    length = 2400
    latent_T2 = np.zeros((length, 2))
    for t in range(1, length):
        latent_T2[t] = 0.9 * latent_T2[t - 1] + np.sqrt(1 - 0.81) * rng.standard_normal(2)
    mixing_2N = rng.standard_normal((2, 8))
    units_TN = latent_T2 @ mixing_2N + 0.2 * rng.standard_normal((length, 8))
    behaviour_TC = np.stack([latent_T2[:, 0], latent_T2.prod(1)], axis=1)
    return Recording(
        np.concatenate([units_TN, behaviour_TC], axis=1).astype(np.float32),
        np.arange(length) / 10.0,
        np.zeros(length, np.int64),
        10.0,
        Columns(
            (*(f"calcium/n{i}" for i in range(8)), "running/first", "running/product"),
            ("calcium",) * 8 + ("running",) * 2,
            ("calcium",) * 8 + ("motion",) * 2,
        ),
    )


@pytest.fixture(scope="session")
def product_result(product_session: Recording) -> Result:
    """The whole stage run on `product_session`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = train_and_examine(product_session, QUICK)
    torch.set_num_threads(threads)
    return result


@pytest.fixture(scope="session")
def long_source(make_aligned: Callable[..., xr.DataTree]) -> Source:
    """Six units that follow two latents, one of which is behaviour, in two segments; not read."""
    rng = np.random.default_rng(2)
    length = 6000
    latent_T2 = np.zeros((length, 2))
    for t in range(1, length):
        latent_T2[t] = 0.9 * latent_T2[t - 1] + 0.4 * rng.standard_normal(2)
    units_TN = latent_T2 @ rng.standard_normal((2, 6)) + 0.2 * rng.standard_normal((length, 6))
    segment_T = np.repeat([0, 1], length // 2)
    return open_source(make_aligned(units_TN, latent_T2, segment_T=segment_T))


@pytest.fixture(scope="session")
def spiking_session() -> Recording:
    """Six units of Poisson counts that follow one slow latent, in three segments; one channel."""
    rng = np.random.default_rng(5)
    length = 900
    phase_T = np.cumsum(0.15 + 0.02 * rng.standard_normal(length))
    offset_N = np.arange(6) * np.pi / 3
    rate_TN = np.exp(np.cos(phase_T[:, None] - offset_N) - 0.5)
    values_TV = np.column_stack([rng.poisson(rate_TN), np.cos(phase_T)]).astype(np.float32)
    segment_T = np.repeat(np.arange(3), 300)
    return Recording(
        values_TV,
        np.arange(length) / 20.0 + 10.0 * segment_T,
        segment_T,
        20.0,
        Columns(
            (*(f"units/u{i}" for i in range(6)), "wheel"),
            ("units",) * 6 + ("wheel",),
            ("spikes",) * 6 + ("motion",),
        ),
    )
