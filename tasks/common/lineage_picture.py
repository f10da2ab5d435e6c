"""A lineage as a picture: boxes in rows from the raw recording down to the result, as SVG."""

import base64
import textwrap
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import networkx as nx

from schemas.entities import ArtifactRef
from tasks.common.lineage import ArtifactStory, Lineage

BOX_WIDTH, BOX_HEIGHT = 236.0, 84.0
LANE_WIDTH = 28.0
GAP_X, GAP_Y = 26.0, 46.0
MARGIN = 22.0
FIGURE_CHARACTERS = 32
SWEEPS = 6

STAGE_COLOURS = {
    "simulate": "#7c6f64", "ingest": "#4c6a92", "preprocess": "#2f7f86", "align": "#3b8a5a",
    "causal": "#b3672b", "twin": "#a4476f", "lnm": "#6b55a6", "report": "#4a4f57",
}  # fmt: skip
OTHER_COLOUR = "#5f6b7a"
VERDICT_COLOURS = {"pass": "#2e9e5b", "warn": "#d99a1c", "fail": "#cf3f3f"}

Lane = tuple[ArtifactRef, ArtifactRef, int]
"""Where the edge (parent, child) passes the row of that number."""


@dataclass(frozen=True)
class Picture:
    """A drawn lineage."""

    svg: str

    @property
    def data_uri(self) -> str:
        """The picture as a data URI, for Markdown and HTML pages that stand alone."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def draw_lineage(lineage: Lineage) -> Picture:
    """Draw a lineage; the colour of a box is its stage, its dot the quality verdict."""
    rows = _order_rows(lineage)
    places = _place(rows)
    right = max(x + _width(node) / 2 for node, (x, _) in places.items())
    bottom = max(y for _, y in places.values()) + BOX_HEIGHT
    width, height = right + MARGIN, bottom + MARGIN
    direct = set(nx.transitive_reduction(lineage.graph).edges)
    lines = [_line(edge, places, edge in direct) for edge in sorted(lineage.graph.edges, key=str)]
    boxes = [
        _box(lineage.story(node), *places[node], node == lineage.target)
        for row in rows
        for node in row
        if isinstance(node, ArtifactRef)
    ]
    return Picture(_PAGE.format(width=width, height=height, body="\n".join(lines + boxes)))


def _order_rows(lineage: Lineage) -> list[list[ArtifactRef | Lane]]:
    """Return the boxes and lanes of each row, ordered so that few lines cross."""
    graph = lineage.graph
    layered: nx.DiGraph[ArtifactRef | Lane] = nx.DiGraph()
    row_of: dict[ArtifactRef | Lane, int] = {}
    for number, members in enumerate(nx.topological_generations(graph)):
        row_of.update(dict.fromkeys(members, number))
    for parent, child in sorted(graph.edges, key=str):
        lanes: list[Lane] = [(parent, child, r) for r in range(row_of[parent] + 1, row_of[child])]
        row_of.update({lane: lane[2] for lane in lanes})
        nx.add_path(layered, [parent, *lanes, child])
    layered.add_nodes_from(graph)
    rows: list[list[ArtifactRef | Lane]] = [[] for _ in range(max(row_of.values()) + 1)]
    for node in sorted(layered, key=str):
        rows[row_of[node]].append(node)
    for sweep in range(SWEEPS):
        downward = sweep % 2 == 0
        for row in rows if downward else reversed(rows):
            _sort_by_neighbours(row, layered, rows, downward)
    return rows


def _sort_by_neighbours(
    row: list[ArtifactRef | Lane],
    layered: "nx.DiGraph[ArtifactRef | Lane]",
    rows: list[list[ArtifactRef | Lane]],
    downward: bool,
) -> None:
    """Sort a row by the mean position of each node's neighbours in the row before."""
    position = {node: i / len(r) for r in rows for i, node in enumerate(r)}

    def mean_position(node: ArtifactRef | Lane) -> float:
        near = list(layered.predecessors(node) if downward else layered.successors(node))
        return sum(position[n] for n in near) / len(near) if near else position[node]

    row.sort(key=mean_position)


def _width(node: ArtifactRef | Lane) -> float:
    return BOX_WIDTH if isinstance(node, ArtifactRef) else LANE_WIDTH


def _place(
    rows: list[list[ArtifactRef | Lane]],
) -> dict[ArtifactRef | Lane, tuple[float, float]]:
    """Return the middle of each node's upper side; every row is centred."""
    widths = [sum(map(_width, row)) + GAP_X * (len(row) - 1) for row in rows]
    places: dict[ArtifactRef | Lane, tuple[float, float]] = {}
    for number, (row, width) in enumerate(zip(rows, widths, strict=True)):
        x = MARGIN + (max(widths) - width) / 2
        for node in row:
            places[node] = (x + _width(node) / 2, MARGIN + number * (BOX_HEIGHT + GAP_Y))
            x += _width(node) + GAP_X
    return places


def _line(
    edge: tuple[ArtifactRef, ArtifactRef],
    places: dict[ArtifactRef | Lane, tuple[float, float]],
    direct: bool,
) -> str:
    """Draw one line from a parent's lower side through its lanes to the child's upper side.

    A line is paler if other lines lead from the parent to the child as well.
    """
    parent, child = edge
    lanes = sorted(
        place
        for node, place in places.items()
        if not isinstance(node, ArtifactRef) and node[:2] == edge
    )
    start, end = places[parent], places[child]
    stops = [(start[0], start[1] + BOX_HEIGHT, start[1] + BOX_HEIGHT)]
    stops += [(x, y, y + BOX_HEIGHT) for x, y in sorted(lanes, key=lambda place: place[1])]
    stops += [(end[0], end[1] - 7, end[1] - 7)]
    path = [f"M{stops[0][0]:.1f} {stops[0][2]:.1f}"]
    for (x0, _, y0), (x1, y1, below) in pairwise(stops):
        middle = (y0 + y1) / 2
        path.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
        if below != y1:
            path.append(f"L{x1:.1f} {below:.1f}")
    look = "edge" if direct else "edge implied"
    return f'<path class="{look}" d="{" ".join(path)}" marker-end="url(#arrow)"/>'


def _box(story: ArtifactStory, middle: float, top: float, is_target: bool) -> str:
    """Draw one artifact: kind, short id, key figure, and a dot for its verdict."""
    colour = STAGE_COLOURS.get(story.stage, OTHER_COLOUR)
    left = middle - BOX_WIDTH / 2
    figure = story.key_figure if story.listed else "no longer in the catalogue"
    lines = textwrap.wrap(figure, FIGURE_CHARACTERS, max_lines=2, placeholder=" …")
    dash = "" if story.listed else ' stroke-dasharray="5 4"'
    parts = [
        f'<g transform="translate({left:.1f} {top:.1f})"><title>{escape(str(story.ref))}</title>',
        f'<rect class="box" width="{BOX_WIDTH:g}" height="{BOX_HEIGHT:g}" rx="9" '
        f'stroke="{colour}" stroke-width="{3 if is_target else 1.4:g}"{dash}/>',
        f'<path d="M0 9a9 9 0 0 1 9-9h{BOX_WIDTH - 18:g}a9 9 0 0 1 9 9v19H0z" fill="{colour}"/>',
        f'<text class="kind" x="12" y="19">{escape(story.ref.kind)}</text>',
        f'<text class="id" x="{BOX_WIDTH - 12:g}" y="19">{story.ref.id[:12]}</text>',
    ]
    parts += [
        f'<text class="figure" x="12" y="{47 + 16 * i}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    if story.created is not None:
        parts.append(
            f'<text class="when" x="{BOX_WIDTH - 12:g}" y="{BOX_HEIGHT - 6:g}">'
            f"{story.created:%Y-%m-%d %H:%M}</text>"
        )
    if verdict := story.worst_verdict:
        parts.append(
            f'<circle cx="16" cy="{BOX_HEIGHT - 9:g}" r="4" fill="{VERDICT_COLOURS[verdict]}">'
            f"<title>{verdict}</title></circle>"
        )
    return "".join(parts) + "</g>"


_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" \
width="{width:.0f}" height="{height:.0f}" role="img" aria-label="lineage">
<style>
text {{ font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
.kind {{ font-size: 14px; font-weight: 600; fill: #fff; }}
.id {{ font-size: 11px; fill: #fff; fill-opacity: .85; text-anchor: end;
  font-family: ui-monospace, "DejaVu Sans Mono", monospace; }}
.figure {{ font-size: 12px; fill: #22272e; }}
.when {{ font-size: 10px; fill: #6b7480; text-anchor: end; }}
.box {{ fill: #fff; }}
.edge {{ fill: none; stroke: #9aa3ad; stroke-width: 1.6; }}
.implied {{ stroke: #c3cad2; stroke-width: 1.1; }}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="3" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0L8 4L0 8z" fill="#9aa3ad"/></marker></defs>
<rect width="100%" height="100%" rx="12" fill="#f7f8fa"/>
{body}
</svg>
"""
