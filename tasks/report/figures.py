"""What all charts share: colours, axes, labels, packed matrices.

Colours of text, grid and real data come from the page's style when a chart is drawn, so that it
suits light and dark: a trace whose `meta` says "ink" takes the colour of text.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from tasks.report.envelope import Image, Trace

KIND_COLOURS = {
    "spikes": "#d1495b",
    "calcium": "#2a9d8f",
    "lfp": "#7b6cd9",
    "eye": "#3d8bd4",
    "pose": "#e08e2b",
    "video": "#9c755f",
    "audio": "#c05fa8",
    "motion": "#5a9e3a",
    "signal": "#7f8c8d",
    "events": "#b5952a",
    "intervals": "#8796a8",
}
MODEL, RIDGE, PERSISTENCE, MEAN = "#4f7cff", "#e08e2b", "#8b95a1", "#b39ddb"
GENERATED = "#e4572e"
SERIES = ("#4f7cff", "#2a9d8f", "#e08e2b", "#d1495b", "#7b6cd9", "#5a9e3a", "#c05fa8", "#3d8bd4")
FAINT = "#9aa4b2"
INK = {"ink": True}
LEVELS = 100
NODATA = -128
LONGEST_LABEL = 36
ROW_GAP, PAIR_GAP, TOP, BOTTOM = 22, 84, 52, 46
"""Pixels between rows, between rows of pairs, above and below the plots."""


def new_figure(height: int = 320, *, x: str = "", y: str = "") -> go.Figure:
    """Return an empty figure with one pair of axes."""
    figure = go.Figure()
    lay_out(figure, height)
    figure.update_xaxes(title_text=x or None)
    figure.update_yaxes(title_text=y or None)
    return figure


def stack_rows(heights: Sequence[int], names: Sequence[str], *, x: str = "time [s]") -> go.Figure:
    """Return rows of the given heights in pixels that share one x axis, each named above itself.

    The top leaves room for a legend.
    """
    inner = sum(heights) + ROW_GAP * (len(heights) - 1)
    figure = make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=list(heights),
        vertical_spacing=ROW_GAP / inner,
    )
    lay_out(figure, inner + TOP + BOTTOM, top=TOP)
    figure.update_xaxes(title_text=x, row=len(heights))
    figure.update_yaxes(nticks=4)
    for row, name in enumerate(names, start=1):
        figure.add_annotation(
            text=name,
            xref="paper",
            x=0,
            yref=f"y{row if row > 1 else ''} domain",
            y=1,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 11},
        )
    return figure


def pair_rows(names: Sequence[str], height: int = 190) -> go.Figure:
    """Return rows of two plots each with axes of their own, named one by one."""
    rows = max(len(names) // 2, 1)
    inner = rows * height + PAIR_GAP * (rows - 1)
    figure = make_subplots(
        rows=rows,
        cols=2,
        subplot_titles=list(names),
        vertical_spacing=PAIR_GAP / inner,
        horizontal_spacing=0.09,
    )
    figure.update_annotations(font_size=12)
    lay_out(figure, inner + TOP + 24 + BOTTOM, top=TOP + 24)
    return figure


def lay_out(figure: go.Figure, height: int, top: int = 34) -> None:
    """Set what all figures share; `top` pixels above the plots leave room for a legend."""
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 64, "r": 24, "t": top, "b": BOTTOM},
        hoverlabel={"namelength": -1},
        # Above the plot by the same distance whatever the height.
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        showlegend=False,
    )


def label(text: object) -> str:
    """Return a name as plotly shows it literally: its own tags escaped, shortened in the middle."""
    plain = " ".join(str(text).split())
    if len(plain) > LONGEST_LABEL:
        plain = f"{plain[: LONGEST_LABEL - 13]}…{plain[-12:]}"
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def distinct_labels(names: Iterable[object]) -> list[str]:
    """Return labels of which no two are the same, since plotly would merge their rows."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        text = label(name)
        seen[text] = seen.get(text, 0) + 1
        labels.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return labels


def line(trace: Trace, name: str, colour: str, *, ink: bool = False, **more: Any) -> go.Scatter:
    """Return a trace as a line; more options go to plotly."""
    return go.Scatter(
        x=compact_time(trace.time),
        y=trace.value,
        mode="lines",
        name=name,
        line={"color": colour, "width": more.pop("width", 1.2)},
        hovertemplate=more.pop("hover", "%{x:.3f} s<br>%{y:.4g}") + f"<extra>{name}</extra>",
        meta=INK if ink else None,
        connectgaps=False,
        **more,
    )


def band(
    x: NDArray[np.floating], low: NDArray[np.floating], high: NDArray[np.floating], colour: str
) -> go.Scatter:
    """Return the range between two curves, shaded; `colour` as #rrggbb. Left out where unknown."""
    known = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[known], low[known], high[known]
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.18)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def compact_time(time_T: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return times as float32 where that keeps a tenth of a millisecond."""
    largest = float(np.abs(time_T).max(initial=0.0))
    return time_T.astype(np.float32) if largest < 800 else time_T


def matrix(
    values_RC: NDArray[np.floating],
    low: float,
    high: float,
    *,
    colours: str = "Viridis",
    title: str = "",
    **more: Any,
) -> go.Heatmap:
    """Return a heatmap whose values travel as one byte each; the page's script unpacks them."""
    return go.Heatmap(
        z=pack_levels(values_RC, low, high),
        zmin=low,
        zmax=high,
        colorscale=colours,
        meta={"low": low, "high": high, "levels": LEVELS, "nodata": NODATA},
        hoverongaps=False,
        colorbar={
            "title": {"text": title, "side": "right"},
            "thickness": 10,
            "outlinewidth": 0,
            **more.pop("colorbar", {}),
        },
        **more,
    )


def pack_levels(values_RC: NDArray[np.floating], low: float, high: float) -> NDArray[np.int8]:
    """Quantise values to 0..100 between `low` and `high`, beyond is cut off, NaN is -128."""
    with np.errstate(invalid="ignore"):
        level_RC = np.clip((values_RC - low) / (high - low), 0, 1) * LEVELS
    return np.where(np.isfinite(values_RC), np.nan_to_num(level_RC).round(), NODATA).astype(np.int8)


def image_matrix(image: Image, names: Iterable[object], **more: Any) -> go.Heatmap:
    """Return an image of units scaled to 0..100 % of their own range."""
    return matrix(
        image.mean_RB,
        0,
        100,
        x0=image.start + image.seconds / 2,
        dx=image.seconds,
        y=distinct_labels(names),
        hovertemplate="%{y}<br>%{x:.2f} s<br>%{z:.0f} % of its range<extra></extra>",
        title="% of own range",
        **more,
    )


def hide_row_names(figure: go.Figure, count: int, **where: int) -> None:
    """Treat an axis as names, top down, and drop the tick labels where they would overlap."""
    figure.update_yaxes(
        type="category", autorange="reversed", showticklabels=count <= 24, showgrid=False, **where
    )


def spread(values: NDArray[np.floating], quantiles: tuple[float, float]) -> tuple[float, float]:
    """Return two quantiles of the finite values, at least a little apart."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(q) for q in np.quantile(finite, quantiles))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def bar_height(rows: int, *, each: int = 24, extra: int = 90) -> int:
    """Return the height of a chart with one row an item."""
    return extra + each * max(rows, 2)
