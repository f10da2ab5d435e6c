"""The edges of a causal graph: which to show, as a picture, as delays and as curves."""

from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.report import ReportSettings
from tasks.report.elements import Chart, count_of
from tasks.report.figures import FAINT, SERIES, label, new_figure
from tasks.report.network import Edge, Node, draw_network

BEHIND, AT_ONCE, UNMEASURED = "effect leads", "no delay", "delay unknown"
AHEAD_COLOURS = ("#5b8def", "#8e44ad", "#d81b74")
"""Of short, middling and long delays."""
BEHIND_COLOUR = "#b08050"
Bools = NDArray[np.bool_]


def names_of(nodes: xr.Dataset, mask: Bools) -> list[str]:
    """Return the names of some nodes."""
    return [str(name) for name in nodes["node"].values[mask]]


def tell_nodes(nodes: xr.Dataset) -> dict[str, Node]:
    """Return what a picture needs to know of each node."""
    names = ("node", "kind", "stream", "behaviour", "region" if "region" in nodes else "stream")
    columns = (nodes[name].values for name in names)
    return {
        str(node): Node(str(kind), str(stream), bool(behaviour), str(region))
        for node, kind, stream, behaviour, region in zip(*columns, strict=True)
    }


def ends_in_behaviour(nodes: xr.Dataset, edges: xr.Dataset) -> tuple[Bools, Bools]:
    """Return (edge,) whether the cause is behaviour, and whether the effect is."""
    behaviour = set(names_of(nodes, nodes["behaviour"].values.astype(bool)))
    causes, effects = (
        np.array([str(name) in behaviour for name in edges[end].values], bool)
        for end in ("cause", "effect")
    )
    return causes, effects


def pick_edges(nodes: xr.Dataset, edges: xr.Dataset, settings: ReportSettings) -> list[int]:
    """Return the edges to draw, strongest first within each group.

    First what a reader looks for: for each behaviour its strongest neurons, then neurons that
    drive neurons for half of the picture, then whatever is strongest. Channels of one body would
    fill it otherwise, since they recover each other nearly perfectly.
    """
    from_behaviour, onto_behaviour = ends_in_behaviour(nodes, edges)
    effects = edges["effect"].values
    onto: list[int] = []
    for name in dict.fromkeys(str(effect) for effect in effects[onto_behaviour]):
        onto += np.flatnonzero(~from_behaviour & (effects == name))[: settings.drivers].tolist()
    within = np.flatnonzero(~from_behaviour & ~onto_behaviour)[: settings.network_edges // 2]
    order = dict.fromkeys([*onto, *within.tolist(), *range(len(effects))])
    return sorted(list(order)[: settings.network_edges])


def draw_graph(nodes: xr.Dataset, edges: xr.Dataset, settings: ReportSettings) -> Chart:
    """Draw the graph, or the part of it that can be read."""
    picked = pick_edges(nodes, edges, settings)
    rows = edges.isel(edge=picked)
    groups, colours = group_by_delay(rows)
    drawn = [
        Edge(
            str(rows["cause"].values[at]),
            str(rows["effect"].values[at]),
            float(rows["skill"].values[at]),
            tell_edge(rows, at),
            groups[at],
        )
        for at in range(len(picked))
    ]
    total = edges.sizes["edge"]
    caption = (
        f"All {count_of(total, 'edge')}."
        if len(picked) == total
        else f"{len(picked):,} of {total:,} edges: from neurons to each behaviour and among "
        "neurons first, then the strongest."
    )
    return Chart(
        "causal-network",
        draw_network(drawn, tell_nodes(nodes), colours=colours),
        "The graph",
        f"{caption} Diamonds are behaviour; a thick arrow is a high skill"
        f"{', its colour the delay' * bool(colours)}; names stand where there is room, those of "
        "hubs, behaviour and its drivers first. Hover over an arrow's head for its figures, over a "
        "node for its name; click on an entry of the legend to hide it.",
    )


def group_by_delay(edges: xr.Dataset) -> tuple[list[str], dict[str, str]]:
    """Return for each edge the class of its delay, and the classes' colours, shortest first.

    Delays ahead of the effect are in at most three classes of like size. None where no delay was
    measured.
    """
    if "lag_s" not in edges or not np.isfinite(edges["lag_s"].values).any():
        return [""] * edges.sizes["edge"], {}
    lag_E = edges["lag_s"].values.astype(float)
    ahead = lag_E[lag_E > 0]
    thirds = (1 / 3, 2 / 3, 1)
    ends = np.unique(np.quantile(ahead, thirds, method="higher")) if len(ahead) else ahead
    names = [BEHIND, AT_ONCE]
    for before, end in pairwise([0.0, *ends]):
        start = ahead[ahead > before].min()
        names.append(f"{end:.3g} s" if start == end else f"{start:.3g} to {end:.3g} s")
    names.append(UNMEASURED)
    place_E = np.select(
        [lag_E < 0, lag_E == 0, lag_E > 0], [0, 1, 2 + np.searchsorted(ends, lag_E)], -1
    )
    groups = [names[place] for place in place_E]
    colours = (BEHIND_COLOUR, SERIES[1], *AHEAD_COLOURS[: len(ends)], FAINT)
    return groups, {name: its for name, its in zip(names, colours, strict=True) if name in groups}


def tell_edge(edges: xr.Dataset, at: int) -> str:
    """Return the figures of one edge as a line."""
    skill, delta, tau = (
        float(edges[name].values[at]) for name in ("skill", "delta_skill", "kendall")
    )
    told = f"skill {skill:.2f}, gained {delta:+.2f} with library size, Kendall τ {tau:.2f}"
    if "q_value" in edges:
        told += f", q {float(edges['q_value'].values[at]):.2g}"
    if "lag_s" in edges and np.isfinite(edges["lag_s"].values[at]):
        told += f", {tell_lag(float(edges['lag_s'].values[at]))}"
    if "label" in edges and str(edges["label"].values[at]) != "direct":
        by = str(edges["explained_by"].values[at])
        told += f", {edges['label'].values[at]}" + (f" through {by}" if by else "")
    return told


def tell_lag(lag_s: float) -> str:
    """Return which end of an edge leads, and by how long."""
    if lag_s == 0:
        return "no delay"
    return f"{'cause' if lag_s > 0 else 'effect'} leads by {abs(lag_s):.2g} s"


def draw_delays(edges: xr.Dataset) -> tuple[Chart, ...]:
    """Draw how many edges have which delay, by kind of edge; nothing where none was measured."""
    if "lag_s" not in edges or not np.isfinite(edges["lag_s"].values).any():
        return ()
    figure = new_figure(300, x="delay [s], positive: the cause leads", y="edges")
    lags, labels = edges["lag_s"].values.astype(float), edges["label"].values.astype(str)
    for place, kind in enumerate(
        ("direct", "indirect", "shared drive", "effect leads", "synchrony")
    ):
        values, counts = np.unique(lags[(labels == kind) & np.isfinite(lags)], return_counts=True)
        if values.size:
            colour = SERIES[place % len(SERIES)]
            figure.add_bar(x=values, y=counts, name=kind, marker={"color": colour})
    figure.update_layout(barmode="stack", showlegend=True)
    told = ", ".join(
        f"{count:,} {kind}"
        for kind, count in zip(*np.unique(labels, return_counts=True), strict=True)
    )
    caption = (
        f"Where in time each edge's cause is recovered best ({told}). A cause acts before its "
        "effect; where the effect leads, the edge is no drive, and may be the mirror of one "
        "(synchrony). Indirect and shared drive: most of the skill is explained by another node."
    )
    longest = float(np.abs(edges["lag"].values).max()) if "lag" in edges.coords else np.inf
    if beyond := int((np.abs(lags) >= longest - 1e-9).sum()):
        caption += f" {beyond:,} are at the longest delay tried: theirs may be longer still."
    return (Chart("causal-delays", figure, "Delays", caption),)


def pick_curves(nodes: xr.Dataset, edges: xr.Dataset, most: int) -> list[int]:
    """Return edges whose convergence is shown: half onto behaviour, half among neurons."""
    from_behaviour, onto_behaviour = ends_in_behaviour(nodes, edges)
    onto = np.flatnonzero(~from_behaviour & onto_behaviour)[: most // 2]
    within = np.flatnonzero(~from_behaviour & ~onto_behaviour)[: most - len(onto)]
    order = dict.fromkeys([*onto.tolist(), *within.tolist(), *range(len(onto_behaviour))])
    return sorted(list(order)[:most])


def with_curves(edges: xr.Dataset, skill: xr.Dataset | None) -> xr.Dataset:
    """Return edges with their convergence, looked up among all pairs for graphs made before."""
    if "convergence" in edges or skill is None:
        return edges
    ends = {end: xr.DataArray(edges[end].values, dims="edge") for end in ("effect", "cause")}
    curves = skill["convergence"].sel(ends).drop_vars(list(ends))
    return edges.assign(convergence=curves.transpose("edge", "library_size"))


def draw_convergence(edges: xr.Dataset, nodes: xr.Dataset, settings: ReportSettings) -> Chart:
    """Draw how the skill of some strong edges grows with the library."""
    figure = new_figure(360, x="library size [embedding vectors]", y="skill")
    for place, at in enumerate(pick_curves(nodes, edges, settings.convergence_edges)):
        cause, effect = str(edges["cause"].values[at]), str(edges["effect"].values[at])
        figure.add_scatter(
            x=edges["library_size"].values,
            y=edges["convergence"].values[at],
            mode="lines+markers",
            line={"color": SERIES[place % len(SERIES)], "width": 1.6},
            marker={"size": 5},
            name=f"{label(cause)} → {label(effect)}",
            hovertemplate="library %{x:,}<br>skill %{y:.3f}",
        )
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "v", "x": 1.02, "xanchor": "left", "yref": "paper"},
    )
    figure.update_yaxes(rangemode="tozero")
    return Chart(
        "causal-convergence",
        figure,
        "Convergence of strong edges",
        "Neurons as causes first. Skill that grows with the library is the sign of a causal link; "
        "a flat curve is mere correlation.",
    )
