"""How strongly causes act on an effect, and when: the Jacobian of local linear maps."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.lags import lagged
from tasks.causal.pairs import find_pairs, thread_count
from tasks.causal.smap import skill_by_theta
from tasks.common.progress import track

THETAS = (0.0, 1.0, 3.0)
_MOST_CAUSES = 6
_MOMENTS, _LIBRARY = 60, 3000


def interaction_strengths(
    nodes: xr.Dataset, edges: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> xr.Dataset | None:
    """Map the next sample of some effects from their present and their direct causes.

    The effects whose strongest direct edge is strongest, behaviour first; of each, at most six
    causes, each taken at its delay. All series are standardised, so a strength of 0.5 says that a
    cause one standard deviation higher moves the effect half of its own.

    Returns
    -------
    Dataset with `strength` (interaction, moment), the derivative of the effect's next sample by
    the cause; `map_skill` (mapped, theta), where more skill at theta > 0 than at 0 means dynamics
    that depend on the state; None if there is no direct edge
    """
    direct = edges.isel(edge=np.flatnonzero(edges["direct"].to_numpy()))
    if not direct.sizes["edge"] or not settings.interaction_effects:
        return None
    pairs = find_pairs(nodes, direct, dimension_N, settings)
    behaviour_N = nodes["behaviour"].to_numpy().astype(bool)
    parts = sorted(pairs.by_effect(), key=lambda part: (not behaviour_N[part[0]], part[1][0]))
    parts = [(effect, at[:_MOST_CAUSES]) for effect, at in parts[: settings.interaction_effects]]
    segment_T = nodes["segment"].to_numpy()
    rate_hz = float(nodes.attrs["rate_hz"])
    lag_E = np.round(np.nan_to_num(direct["lag_s"].to_numpy()) * rate_hz).astype(int)
    # Local maps are smooth: a few thousand samples carry them, a few dozen moments show them.
    step = max(1, len(segment_T) // _LIBRARY)
    row_R = np.unique(np.linspace(0, (len(segment_T) - 1) // step, _MOMENTS).astype(int))
    theiler = pairs.rule.theiler // step

    def measure(part: tuple[int, NDArray[np.intp]]) -> tuple[NDArray[np.float64], ...]:
        effect, at = part
        present_CT = [pairs.series_NT[effect]]
        # A cause recovered as it will be (negative lag) is no cause from the past: its present.
        present_CT += [
            lagged(pairs.series_NT[pairs.cause_E[e]], segment_T, [-max(int(lag_E[e]) - 1, 0)])[0]
            for e in at
        ]
        following_T = lagged(pairs.series_NT[effect], segment_T, [1])[0]
        skill_H, maps = skill_by_theta(
            np.stack(present_CT, 1)[::step], following_T[::step], row_R, THETAS, theiler
        )
        best = maps[int(np.nanargmax(skill_H))] if np.isfinite(skill_H).any() else maps[0]
        return skill_H, best.slope_RV[:, 1:].T

    with ThreadPoolExecutor(thread_count(settings)) as pool:
        found = list(track(pool.map(measure, parts), "interactions", len(parts)))
    chosen = np.concatenate([at for _, at in parts])
    names = nodes["node"].to_numpy().astype(str)
    return xr.Dataset(
        {
            "strength": (
                ("interaction", "moment"),
                np.concatenate([strength for _, strength in found]).astype(np.float32),
            ),
            "map_skill": (("mapped", "theta"), np.stack([s for s, _ in found]).astype(np.float32)),
            "cause": ("interaction", names[pairs.cause_E[chosen]]),
            "effect": ("interaction", names[pairs.effect_E[chosen]]),
        },
        {
            "moment": nodes["time"].to_numpy()[row_R * step],
            "theta": list(THETAS),
            "mapped": names[[effect for effect, _ in parts]],
        },
    )
