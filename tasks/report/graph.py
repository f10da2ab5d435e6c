"""The edges of a causal graph: which to show, as a picture, as curves, and by behaviour."""

from collections import Counter

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.settings.report import ReportSettings
from tasks.report.elements import Cell, Chart, cards, count_of, details, note, table
from tasks.report.figures import SERIES, label, new_figure
from tasks.report.network import Edge, Node, draw_network

MOST_CARDS = 12
Bools = NDArray[np.bool_]


def names_of(nodes: xr.Dataset, mask: Bools) -> list[str]:
    """Return the names of some nodes."""
    return [str(name) for name in nodes["node"].values[mask]]


def tell_nodes(nodes: xr.Dataset) -> dict[str, Node]:
    """Return what a picture needs to know of each node."""
    columns = (nodes[name].values for name in ("node", "kind", "stream", "behaviour"))
    return {
        str(node): Node(str(kind), str(stream), bool(behaviour))
        for node, kind, stream, behaviour in zip(*columns, strict=True)
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
    drawn = [
        Edge(
            str(rows["cause"].values[at]),
            str(rows["effect"].values[at]),
            float(rows["skill"].values[at]),
            tell_edge(rows, at),
        )
        for at in range(len(picked))
    ]
    total = edges.sizes["edge"]
    caption = (
        f"All {total:,} edges."
        if len(picked) == total
        else f"{len(picked):,} of {total:,} edges: from neurons to each behaviour and among "
        "neurons first, then the strongest."
    )
    return Chart(
        "causal-network",
        draw_network(drawn, tell_nodes(nodes)),
        "The graph",
        f"{caption} Diamonds are behaviour; a thick arrow is a high skill; hover over an arrow's "
        "head for its figures; click on a stream in the legend to hide it.",
    )


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


def write_drivers(nodes: xr.Dataset, edges: xr.Dataset, settings: ReportSettings) -> Markup:
    """Return a card for each behaviour with its strongest causes, neurons before behaviour."""
    used = ~nodes["excluded"].values.astype(bool)
    behaviours = names_of(nodes, nodes["behaviour"].values.astype(bool) & used)
    if not behaviours:
        return note("No behaviour channel is a node of the graph.")
    every, edges = edges, edges.isel(edge=np.flatnonzero(driving(edges)))
    from_behaviour, _ = ends_in_behaviour(nodes, edges)
    skills = edges["skill"].values
    found: list[tuple[float, int, Markup]] = []
    for place, name in enumerate(behaviours):
        onto = np.flatnonzero(edges["effect"].values == name)
        if len(onto):
            neural = onto[~from_behaviour[onto]]
            best = float(skills[neural].max(initial=-1.0))
            card = _driver_card(name, edges, neural, onto[from_behaviour[onto]], settings.drivers)
            found.append((-best, place, card))
    others = sorted(set(behaviours) - {str(name) for name in edges["effect"].values})
    shown = [card for _, _, card in sorted(found, key=lambda item: item[:2])]
    blocks = cards(shown[:MOST_CARDS])
    if len(shown) > MOST_CARDS:
        rest = f"{len(shown) - MOST_CARDS} more behaviours, with weaker neural causes"
        blocks += details(rest, cards(shown[MOST_CARDS:]))
    if others:
        blocks += note(f"No driver was found for: {', '.join(others)}.")
    return blocks + _ahead(every, behaviours)


def driving(edges: xr.Dataset) -> Bools:
    """Return (edge,) whether the cause is a driver; all are where delays were not looked for."""
    if "drives" not in edges:
        return np.ones(edges.sizes["edge"], bool)
    return edges["drives"].values.astype(bool)


def _ahead(edges: xr.Dataset, behaviours: list[str]) -> Markup:
    """Name the nodes that behaviours lead: tied to them, but recovered best as they will be."""
    if "lag_s" not in edges:
        return Markup("")
    effects = [str(name) for name in edges["effect"].values]
    leads = (edges["lag_s"].values < 0) & np.isin(effects, behaviours)
    told = [
        f"{effects[at]} leads {edges['cause'].values[at]} by "
        f"{abs(float(edges['lag_s'].values[at])):.2g} s"
        for at in np.flatnonzero(leads)
    ]
    if not told:
        return Markup("")
    shown = "; ".join(told[:MOST_CARDS]) + ("; ..." if len(told) > MOST_CARDS else "")
    return note(
        f"Not counted as drivers, because the behaviour comes first ({len(told):,}): {shown}. "
        "A calcium indicator is late itself: a drive that is faster cannot be told from this."
    )


def write_hubs(nodes: xr.Dataset, edges: xr.Dataset, most: int = 10) -> Markup:
    """Return the nodes that drive most others as a table."""
    kept = edges.isel(edge=np.flatnonzero(driving(edges)))
    drives, driven = (
        Counter(str(name) for name in kept[end].values) for end in ("cause", "effect")
    )
    told = tell_nodes(nodes)
    rows: list[list[Cell]] = [
        [name, told[name].stream, count, driven[name]] for name, count in drives.most_common(most)
    ]
    if not rows:
        return note("No node drives another.")
    return table(["node", "stream", "drives", "driven by"], rows)


def write_regions(regions: xr.Dataset, most: int = 40) -> Markup:
    """Return the pairs of regions with the largest share of driving edges as a table."""
    pairs_RR, edges_RR = (regions[name].values for name in ("pairs", "edges"))
    share_RR = edges_RR / np.maximum(pairs_RR, 1)
    effect_P, cause_P = np.unravel_index(
        np.argsort(-share_RR, axis=None, kind="stable"), share_RR.shape
    )
    rows: list[list[Cell]] = [
        [
            str(regions["cause_region"].values[cause]),
            str(regions["effect_region"].values[effect]),
            f"{int(edges_RR[effect, cause]):,} of {int(pairs_RR[effect, cause]):,}",
            f"{share_RR[effect, cause]:.1%}",
            f"{float(regions['skill'].values[effect, cause]):.2f}",
        ]
        for effect, cause in zip(effect_P, cause_P, strict=True)
        if pairs_RR[effect, cause]
    ]
    columns = ["cause", "effect", "pairs that drive", "share", "mean skill of all pairs"]
    return table(columns, rows, most=most)


def _tell_q(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _driver_card(
    name: str,
    edges: xr.Dataset,
    neural: NDArray[np.intp],
    behavioural: NDArray[np.intp],
    most: int,
) -> Markup:
    measures = {"skill": "skill", "delta_skill": "Δ skill"}
    if "q_value" in edges:
        measures["q_value"] = "q"
    if "lag_s" in edges:
        measures["lag_s"] = "leads by [s]"
    causes, columns = edges["cause"].values, [edges[key].values for key in measures]
    tells = [_tell_q if key == "q_value" else "{:.2f}".format for key in measures]

    def rows(picked: NDArray[np.intp]) -> list[list[Cell]]:
        return [
            [
                str(causes[at]),
                *(tell(values[at]) for values, tell in zip(columns, tells, strict=True)),
            ]
            for at in picked[:most]
        ]

    count = f"{count_of(len(neural), 'neuron')}, {count_of(len(behavioural), 'behaviour')}"
    title = Markup('<h4>{}</h4><p class="also">driven by {}</p>').format(name, count)
    if not len(neural):
        body = Markup('<p class="none">No neuron was found to drive it.</p>')
    else:
        body = table(["neuron", *measures.values()], rows(neural))
    if len(behavioural):
        strongest = ", ".join(f"{cause} ({skill})" for cause, skill, *_ in rows(behavioural)[:3])
        body += Markup('<p class="also">Behaviour: {}</p>').format(strongest)
    return title + body
