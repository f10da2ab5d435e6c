"""What the command line prints: progress bars, the result table, lineage trees."""

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from schemas.entities import RunState, StageOutcome
from tasks.common.progress import progress_to

if TYPE_CHECKING:
    import pandas as pd

out = Console()
err = Console(stderr=True)

STATE_STYLES = {
    RunState.COMPLETE: "green",
    RunState.EMPTY: "yellow",
    RunState.FAILED: "bold red",
}


class TerminalProgress:
    """One progress bar a label, with the time left."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._known: dict[str, TaskID] = {}

    def update(self, label: str, done: float, total: float, note: str = "") -> None:
        """Move the bar of `label`."""
        if label not in self._known:
            self._known[label] = self._bars.add_task(label, total=total, note="")
        self._bars.update(self._known[label], completed=done, total=total, note=note)


@contextmanager
def show_progress(*, quiet: bool) -> Generator[None]:
    """Show progress bars on the terminal while the block runs."""
    if quiet:
        yield
        return
    bars = Progress(
        TextColumn("  {task.description:<34}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=err,
        transient=True,
    )
    with bars, progress_to(TerminalProgress(bars)):
        yield


def start_logging(*, verbose: bool) -> None:
    """Send Tectum's own log to the terminal's error stream."""
    handler = RichHandler(console=err, show_path=False, show_time=False, markup=False)
    logger = logging.getLogger("tectum")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False


def print_json(value: Any) -> None:
    """Print a value as JSON for scripts."""
    out.print_json(json.dumps(value, default=str))


def print_outcomes(title: str, outcomes: list[StageOutcome]) -> None:
    """Print how each stage ended: stage, artifact, key figure, seconds."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("artifact", no_wrap=True, style="cyan")
    table.add_column("key figure", overflow="fold")
    table.add_column("seconds", justify="right")
    for outcome in outcomes:
        style = STATE_STYLES.get(outcome.state, "")
        complete = outcome.state is RunState.COMPLETE
        figure = outcome.key_figure if complete else f"{outcome.state.value}: {outcome.reason}"
        seconds = "reused" if outcome.reused else f"{outcome.seconds:.1f}"
        table.add_row(
            outcome.stage, str(outcome.ref or "-"), f"[{style}]{plain(figure)}[/]", seconds
        )
    out.print(table)


def print_frame(frame: "pd.DataFrame", *, as_json: bool, empty: str) -> None:
    """Print a table of the catalogue."""
    if as_json:
        out.print_json(frame.to_json(orient="records", date_format="iso"))
    elif frame.empty:
        out.print(empty)
    else:
        # Without a frame: 80 columns have to do.
        table = Table(
            *map(str, frame.columns),
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
        )
        rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
        for column, cells in zip(table.columns, zip(*rows, strict=True), strict=True):
            words = [word for cell in (str(column.header), *cells) for word in cell.split()]
            column.min_width = max(map(len, words), default=0)
        # What a row is called is what other commands want typed.
        table.columns[0].no_wrap = True
        table.columns[0].min_width = max(len(row[0]) for row in rows)
        for row in rows:
            table.add_row(*map(plain, row))
        # What is too wide for the terminal is wrapped by it, not cut.
        needed = sum((column.min_width or 0) + 2 for column in table.columns)
        out.print(table, width=max(out.width, needed), crop=False, soft_wrap=needed > out.width)


def _cell(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


def plain(text: str) -> str:
    """Keep what files say from being read as terminal markup."""
    return text.replace("[", r"\[")
