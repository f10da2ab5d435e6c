"""The parts that sections are made of: tables, chips, facts, notes, charts.

Every text that comes from a file passes through `Markup.format`, which escapes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from markupsafe import Markup, escape
from plotly import graph_objects as go

Cell = str | int | float | None | Markup
Tone = Literal["pass", "warn", "fail", "info"]

# The words that stages use for a verdict, and how good each is.
TONES: dict[str, Tone] = {
    "pass": "pass", "warn": "warn", "fail": "fail", "info": "info",
    "win": "pass", "tie": "info", "loss": "warn",
    "as real": "pass", "differs": "warn", "copies": "fail", "not measured": "info",
    "synchronised": "pass", "partial": "warn", "ambiguous": "fail", "unmatched": "fail",
    "warning": "warn", "error": "fail",
    "complete": "pass", "incomplete": "warn", "empty": "info", "failed": "fail",
    "running": "info", "waiting": "info",
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A figure with its place in the page.

    key : unique in the page; letters, digits and hyphens
    caption : what the picture shows and what was left out
    """

    key: str
    figure: go.Figure
    title: str = ""
    caption: str = ""

    @property
    def html(self) -> Markup:
        """The element that the page's script draws the figure into."""
        height = int(self.figure.layout.height or 360)
        title = Markup("<h4>{}</h4>").format(self.title) if self.title else Markup("")
        caption = Markup("<figcaption>{}</figcaption>").format(self.caption)
        return Markup(
            '<figure class="chart">{}<div class="plot" id="{}" style="height:{}px" role="img" '
            'aria-label="{}"></div>{}</figure>'
        ).format(
            title, self.key, height, self.title or self.key, caption if self.caption else Markup("")
        )


Block = Markup | Chart | tuple[Chart, ...]


@dataclass(frozen=True)
class Section:
    """A part of the page.

    slug : its anchor
    question : what it answers, one line below the title
    blocks : text and charts in order; a tuple of charts stands side by side
    empty : whether there was nothing to show
    """

    slug: str
    title: str
    question: str
    blocks: tuple[Block, ...]
    empty: bool = False

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart of the section, in order."""
        found: list[Chart] = []
        for block in self.blocks:
            if isinstance(block, Chart):
                found.append(block)
            elif isinstance(block, tuple):
                found.extend(block)
        return tuple(found)

    @property
    def html(self) -> Markup:
        """The section's content."""
        return Markup("\n").join(_render(block) for block in self.blocks)


def _render(block: Block) -> Markup:
    if isinstance(block, Chart):
        return block.html
    if isinstance(block, tuple):
        inner = Markup("").join(chart.html for chart in block)
        return Markup('<div class="pair">{}</div>').format(inner)
    return block


def heading(text: str) -> Markup:
    """Return a heading below the section's own."""
    return Markup("<h3>{}</h3>").format(text)


def paragraph(text: str) -> Markup:
    """Return a paragraph."""
    return Markup("<p>{}</p>").format(text)


def note(text: str, tone: Tone = "info") -> Markup:
    """Return a remark that stands out."""
    return Markup('<p class="note {}">{}</p>').format(tone, text)


def chip(word: str) -> Markup:
    """Return a verdict as a small coloured label; colour is never the only sign."""
    tone = TONES.get(word.lower(), "info")
    return Markup('<span class="chip {}">{}</span>').format(tone, word)


def code(text: str, full: str = "") -> Markup:
    """Return an identifier; `full` is what hovering shows."""
    return Markup('<code title="{}">{}</code>').format(full or text, text)


def keep_together(text: str) -> Markup | None:
    """Return a short text that must not break over lines; nothing for no text."""
    return Markup('<span class="together">{}</span>').format(text) if text else None


def meter(share: float) -> Markup:
    """Return a share from 0 to 1 as a small bar with its percentage."""
    if share != share:
        return show(None)
    return Markup('<span class="meter"><i><b style="width:{:.1f}%"></b></i>{:.1f} %</span>').format(
        100 * share, 100 * share
    )


def facts(pairs: Iterable[tuple[str, Cell]]) -> Markup:
    """Return names with values; pairs without a value are left out."""
    items = Markup("").join(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, show(value))
        for name, value in pairs
        if value not in (None, "")
    )
    return Markup('<dl class="facts">{}</dl>').format(items)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str = "", most: int = 400
) -> Markup:
    """Return a table that scrolls sideways where it must; rows after `most` are counted only."""
    head = Markup("").join(
        Markup("<th{}>{}</th>").format(_numeric(rows, at), name) for at, name in enumerate(columns)
    )
    body = Markup("").join(_row(row) for row in rows[:most])
    title = Markup("<caption>{}</caption>").format(caption) if caption else Markup("")
    rest = len(rows) - most
    more = paragraph(f"and {rest:,} more rows") if rest > 0 else Markup("")
    return Markup(
        '<div class="scroll"><table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}'
    ).format(title, head, body, more)


def _numeric(rows: Sequence[Sequence[Cell]], at: int) -> Markup:
    return Markup(' class="num"') if any(_is_number(row[at]) for row in rows) else Markup("")


def _row(row: Sequence[Cell]) -> Markup:
    cells = Markup("").join(
        Markup("<td{}>{}</td>").format(
            Markup(' class="num"') if _is_number(cell) else Markup(""), show(cell)
        )
        for cell in row
    )
    return Markup("<tr>{}</tr>").format(cells)


def details(summary: str, content: Markup) -> Markup:
    """Return content that is folded away until asked for."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def listing(text: str) -> Markup:
    """Return preformatted text."""
    return Markup("<pre>{}</pre>").format(text)


def cards(items: Iterable[Markup]) -> Markup:
    """Return blocks beside one another as far as the page is wide."""
    inner = Markup("").join(Markup('<div class="card">{}</div>').format(item) for item in items)
    return Markup('<div class="cards">{}</div>').format(inner)


def show(value: Cell) -> Markup:
    """Return a value as a reader wants it: four digits, thousands apart, a dash for nothing."""
    if value is None or value == "" or value != value:
        return Markup('<span class="none">–</span>')
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, int):
        return escape(f"{value:,}")
    return escape(format_number(value) if isinstance(value, float) else value)


def format_number(value: float) -> str:
    """Return a number with four significant digits."""
    if value != value:
        return "–"
    if value == 0 or not abs(value) < float("inf"):
        return f"{value:g}"
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        return f"{value:.2e}"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: 1 unit, 2,000 units."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_seconds(seconds: float) -> str:
    """Return a length of time: 0.4 s, 12 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_bytes(size: float) -> str:
    """Return a size: 512 B, 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_time(moment: datetime | None) -> str:
    """Return a moment in UTC to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
