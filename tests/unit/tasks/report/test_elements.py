"""Text from files is escaped, numbers are readable."""

import numpy as np
import pytest
from markupsafe import Markup

from tasks.report import elements, figures
from tasks.report.elements import Chart, Section, format_bytes, format_number, format_seconds

HOSTILE = "<script>alert('x')</script>&amp;"


@pytest.mark.parametrize(
    "made",
    [
        elements.table([HOSTILE], [[HOSTILE]], caption=HOSTILE),
        elements.chip(HOSTILE),
        elements.note(HOSTILE),
        elements.heading(HOSTILE),
        elements.paragraph(HOSTILE),
        elements.facts([(HOSTILE, HOSTILE)]),
        elements.code(HOSTILE, '" onmouseover="' + HOSTILE),
        elements.details(HOSTILE, elements.listing(HOSTILE)),
        Chart("k", figures.new_figure(), HOSTILE, HOSTILE).html,
        Section("s", "t", "q", (elements.note(HOSTILE),)).html,
    ],
)
def test_everything_is_escaped(made: Markup) -> None:
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert '" onmouseover="' not in made


def test_labels_of_charts_are_literal_and_distinct() -> None:
    assert figures.label("<b>&") == "&lt;b&gt;&amp;"
    assert len(figures.label("x" * 200)) == figures.LONGEST_LABEL
    assert figures.distinct_labels(["a", "a", "b"]) == ["a", "a (2)", "b"]


def test_tables_count_what_they_leave_out() -> None:
    rows: list[list[elements.Cell]] = [[i] for i in range(10)]
    html = elements.table(["n"], rows, most=4)
    assert html.count("<tr>") == 5
    assert "6 more rows" in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.1235"), (12345.6, "12,346"), (1e-9, "1.00e-09"), (0.0, "0"),
        (float("nan"), "–"), (-0.5, "−0.5"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert format_number(value) == text


def test_lengths_of_time_and_sizes() -> None:
    assert [format_seconds(s) for s in (0.44, 12.3, 200, 3900)] == [
        "0.4 s", "12 s", "3 min 20 s", "1 h 05 min",
    ]  # fmt: skip
    assert [format_bytes(b) for b in (512, 1500, 2.5e9)] == ["512 B", "1.5 kB", "2.5 GB"]


def test_packed_values_come_back_within_half_a_level() -> None:
    values = np.array([[0.0, 0.5, 1.0], [np.nan, -3, 9]])
    levels = figures.pack_levels(values, 0, 1)
    assert levels.dtype == np.int8
    np.testing.assert_array_equal(levels, [[0, 50, 100], [figures.NODATA, 0, 100]])
