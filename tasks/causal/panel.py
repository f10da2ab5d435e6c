"""A panel of surrogates that all pairs share, to tell cheaply which skills stand out.

How well an unrelated series is recovered depends on how steady it is: slow and rhythmic ones are
easily matched by chance. So the panel holds surrogates of nodes of every length of memory, and a
skill is compared with those whose memory is like its cause's. It ranks; it does not decide: its
groups are never as alike as a cause and its own surrogates, which survivors are tested with.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.significance import fisher_z, moments, score_of, surrogates_of


@dataclass(frozen=True)
class Panel:
    """Surrogates (group, surrogate, time), shortest memory first.

    source_GS : the node that each is made of
    group_N : the group that each node is compared with
    """

    series_GST: NDArray[np.float32]
    source_GS: NDArray[np.intp]
    group_N: NDArray[np.intp]

    def scores(
        self,
        effects: range,
        skill_BN: NDArray[np.floating],
        null_BGS: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Return standard scores (effect, cause) of some effects' skills, as `standard_score`.

        skill_BN : of all nodes as causes; null_BGS : of the panel
        """
        # A series and its own surrogates are no unrelated pair.
        own_BGS = np.array(effects)[:, None, None] == self.source_GS
        count, mean, square = moments(fisher_z(np.where(own_BGS, np.nan, null_BGS)))
        of = self.group_N
        return score_of(fisher_z(skill_BN), count[:, of], mean[:, of], square[:, of])


def make_panel(
    nodes: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> Panel:
    """Make surrogates of random nodes, as many of each group of similar memory."""
    memory_N = memory_lengths(nodes["value"].to_numpy().T)
    count = len(memory_N)
    groups = min(settings.screening.memory_groups, count)
    rank_N = np.argsort(np.argsort(memory_N, kind="stable"), kind="stable")
    group_N = rank_N * groups // count
    each = -(-settings.screening.surrogates // groups)
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(2,)))
    source_GS = np.stack(
        [
            rng.choice(members, each, replace=len(members) < each)
            for members in (np.flatnonzero(group_N == group) for group in range(groups))
        ]
    )
    made = np.empty((groups * each, nodes.sizes["time"]), np.float32)
    for node in np.unique(source_GS):
        places = np.flatnonzero(source_GS.ravel() == node)
        made[places] = surrogates_of(nodes, dimension_N, settings, int(node), len(places))
    return Panel(made.reshape(groups, each, -1), source_GS, group_N)


def memory_lengths(series_NT: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how many samples each series remembers: the sum of its squared autocorrelations.

    By it the chance correlations of two such series spread (Bartlett); a rhythm counts, which
    the time to the first zero does not see. Up to half of the series; gaps are left out, as
    surrogates leave them out.

    References
    ----------
    Bartlett 1946, doi:10.2307/2983611
    """
    memory_N = np.empty(len(series_NT))
    for n, series_T in enumerate(series_NT):
        values_V = series_T[np.isfinite(series_T)].astype(np.float64)
        spectrum_F = np.fft.rfft(values_V - values_V.mean(), 2 * len(values_V))
        covariance_L = np.fft.irfft(np.abs(spectrum_F) ** 2)[: len(values_V) // 2]
        memory_N[n] = 2 * ((covariance_L / max(covariance_L[0], 1e-12)) ** 2).sum() - 1
    return memory_N
