"""The nodes of the graph: neurons and behaviour channels, standardised; who is left out and why."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.errors import NothingToDoError
from schemas.settings.causal import CausalSettings
from tasks.causal.padding import pad_axis
from tasks.causal.rule import CrossMapRule
from tasks.common.matrices import behaviour_matrix, neural_matrix, unit_places
from tasks.common.smoothing import smooth_within_runs
from tasks.common.splits import keep_segments, split_by_time

_COLUMNS_AT_ONCE = 512


def count_nodes(aligned: xr.DataTree, settings: CausalSettings) -> tuple[int, int]:
    """Return how many nodes and samples there are at most; no value is read."""
    columns = _columns(aligned, settings)
    kept = _kept_samples(columns["time"].to_numpy(), settings)
    return columns.sizes["node"], int(kept.sum())


def gather_nodes(aligned: xr.DataTree, settings: CausalSettings) -> xr.Dataset:
    """Bring every neuron and behaviour channel of a session onto one scale.

    Spike counts become smoothed rates. Only the samples that `settings.use` allows are kept.

    Returns
    -------
    Dataset with `value` (time, node) float32, mean 0 and standard deviation 1 over the valid
    samples, NaN where invalid; `excluded` and `reason` (node); coords `node`, `stream`, `kind`,
    `region`, `behaviour` (node), `position` (node, space), `segment` and `time` (time); attrs
    `rate_hz`.

    Raises
    ------
    NothingToDoError
        Fewer than two nodes can be used; says why the others cannot.
    """
    columns = _columns(aligned, settings)
    rate_hz = float(aligned["clock"].attrs["rate_hz"])
    kept = _kept_samples(columns["time"].to_numpy(), settings)
    segment_T = keep_segments(columns["segment"].to_numpy(), kept)
    columns = columns.isel(time=kept).compute()
    columns = columns.assign_coords(segment=("time", segment_T))
    value_TN = columns["value"].to_numpy()
    tau = max(1, round(settings.tau_s * rate_hz))
    reasons: list[str] = []
    # A few columns at a time in float64: of a whole brain that would be twice the recording.
    for start in range(0, value_TN.shape[1], _COLUMNS_AT_ONCE):
        at = slice(start, start + _COLUMNS_AT_ONCE)
        values_TB = value_TN[:, at].astype(np.float64)
        spikes_B = columns["kind"].to_numpy()[at] == "spikes"
        values_TB[:, spikes_B] = smooth_within_runs(
            values_TB[:, spikes_B], segment_T, settings.smoothing_s * rate_hz
        )
        values_TB[segment_T < 0] = np.nan
        reasons += why_excluded(values_TB, segment_T, tau, settings)
        value_TN[:, at] = standardise(values_TB)
    nodes = columns.assign(
        value=(("time", "node"), value_TN),
        excluded=("node", np.array([bool(reason) for reason in reasons])),
        reason=("node", np.array(reasons, dtype=object)),
    )
    nodes.attrs = {"rate_hz": rate_hz}
    _at_least_two(nodes)
    return nodes


def standardise(values_TN: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return columns of mean 0 and standard deviation 1 as float32; constant ones become 0.

    The subtraction is done in float64: an offset of 1e6 on the data changes nothing.
    """
    finite = np.isfinite(values_TN)
    count = np.maximum(finite.sum(0), 1)
    centred = np.where(finite, values_TN - np.where(finite, values_TN, 0).sum(0) / count, 0)
    deviation = np.sqrt((centred**2).sum(0) / count)
    scaled = centred / np.where(deviation > 0, deviation, 1)
    return np.where(finite, scaled, np.nan).astype(np.float32)


def why_excluded(
    values_TN: NDArray[np.float64],
    segment_T: NDArray[np.integer],
    tau: int,
    settings: CausalSettings,
) -> list[str]:
    """Return for each column why it cannot be a node; empty where it can."""
    vectors_N = count_vectors(values_TN, segment_T, tau, settings)
    return [
        _reason(values_TN[:, n], int(vectors_N[n]), settings) for n in range(values_TN.shape[1])
    ]


def _reason(values_T: NDArray[np.float64], vectors: int, settings: CausalSettings) -> str:
    finite = values_T[np.isfinite(values_T)]
    if not finite.size:
        return "no valid sample"
    # Aligned values are float32: less spread than its rounding is none.
    if np.ptp(finite) <= 4 * np.finfo(np.float32).eps * np.abs(finite).max():
        return f"constant ({finite[0]:g} in all {finite.size:,} valid samples)"
    if vectors < settings.min_samples:
        return (
            f"too short: {finite.size:,} valid samples hold {vectors:,} embedding vectors, "
            f"{settings.min_samples:,} needed"
        )
    return ""


def count_vectors(
    values_TN: NDArray[np.float64],
    segment_T: NDArray[np.integer],
    tau: int,
    settings: CausalSettings,
) -> NDArray[np.int64]:
    """Return how many embedding vectors of the highest dimension each column holds."""
    rule = CrossMapRule(tau, settings.tp)
    longest = settings.dimension or settings.max_dimension
    axis = pad_axis(segment_T, rule, longest, 1)
    finite_NP = np.isfinite(axis.spread(values_TN.T))
    exists_NP = finite_NP & np.roll(finite_NP, -rule.tp, axis=1)
    for e in range(1, longest):
        exists_NP &= np.roll(finite_NP, e * rule.tau, axis=1)
    return exists_NP.sum(1)


def _columns(aligned: xr.DataTree, settings: CausalSettings) -> xr.Dataset:
    neurons = neural_matrix(aligned).rename(unit="node", activity="value")
    parts = [neurons.assign_coords(behaviour=("node", np.zeros(neurons.sizes["node"], bool)))]
    if settings.behaviour:
        channels = behaviour_matrix(aligned).rename(channel="node", behaviour="value")
        parts.append(
            channels.assign_coords(behaviour=("node", np.ones(channels.sizes["node"], bool)))
        )
    # Of no columns Dask cannot make blocks.
    columns = xr.concat([p for p in parts if p.sizes["node"]] or parts[:1], dim="node")
    places = unit_places(aligned, columns["node"].to_numpy().tolist()).rename(unit="node")
    # Without a known region, the stream tells most about where a node is.
    region = np.where(places["region"] == "", columns["stream"].to_numpy(), places["region"])
    return columns.assign_coords(
        region=("node", region.astype(str)), position=(("node", "space"), places["position"].values)
    )


def _kept_samples(time: NDArray[np.float64], settings: CausalSettings) -> NDArray[np.bool_]:
    if settings.use == "all":
        return np.ones(len(time), bool)
    return split_by_time(time, settings.split).fitting


def _at_least_two(nodes: xr.Dataset) -> None:
    usable = int((~nodes["excluded"]).sum())
    if usable >= 2:
        return
    left_out = [
        f"{name}: {reason}"
        for name, reason in zip(nodes["node"].values, nodes["reason"].values, strict=True)
        if reason
    ]
    shown = "; ".join(left_out[:10]) + ("; ..." if len(left_out) > 10 else "")
    raise NothingToDoError(
        f"{usable} of {nodes.sizes['node']} neurons and behaviour channels can be used; a causal "
        f"graph needs two.{' Left out: ' + shown if shown else ''}"
    )
