"""What drives what, as tables: each behaviour's drivers, hubs, region by region."""

from collections import Counter

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.settings.report import ReportSettings
from tasks.report.elements import Cell, cards, count_of, details, note, table
from tasks.report.graph import Bools, ends_in_behaviour, names_of, tell_nodes

MOST_CARDS = 12


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
    # Of equals those that are driven by fewer come first, as `tectum causal export` has it.
    order = sorted(drives, key=lambda name: (-drives[name], driven[name], name))
    rows: list[list[Cell]] = [
        [name, told[name].stream, drives[name], driven[name]] for name in order[:most]
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
