"""Real beside generated behaviour: courses over time, spectra, distributions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from plotly import graph_objects as go
from scipy.signal import welch

from tasks.common.segments import find_gaps, sample_period, true_runs
from tasks.report.envelope import GAP_PERIODS, draw_envelope
from tasks.report.figures import FAINT, GENERATED, INK, band, label, line, pair_rows, stack_rows

LONGEST_SPECTRUM = 256
BINS = 40
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Course:
    """One named line over time for each channel."""

    name: str
    values_TC: xr.DataArray
    colour: str
    ink: bool = False
    width: float = 1.3
    opacity: float = 1.0


def draw_courses(courses: list[Course], channels: list[int], max_points: int) -> go.Figure:
    """Draw channels below one another on one time axis, one line a course.

    Courses of one name are told once, and hidden and shown together.
    """
    time_T = np.asarray(courses[0].values_TC["time"].values, float)
    names = [label(courses[0].values_TC["channel"].values[at]) for at in channels]
    figure = stack_rows([104] * len(channels), names)
    firsts = {course.name: course for course in reversed(courses)}
    for row, at in enumerate(channels, start=1):
        for course in courses:
            trace = draw_envelope(time_T, course.values_TC.isel(channel=at), max_points)
            figure.add_trace(
                line(
                    trace,
                    course.name,
                    course.colour,
                    ink=course.ink,
                    width=course.width,
                    opacity=course.opacity,
                    legendgroup=course.name,
                    showlegend=row == 1 and course is firsts[course.name],
                ),
                row=row,
                col=1,
            )
    figure.update_layout(showlegend=True)
    return figure


def generated_courses(
    real: xr.DataArray | None, generated: xr.DataArray, samples: int
) -> list[Course]:
    """Return the real course, if any, and some generated ones, the first of them in colour."""
    runs = [
        Course(
            "generated" if at == 0 else f"generated, run {at + 1}",
            generated.isel(sample=at),
            GENERATED if at == 0 else FAINT,
            width=1.5 if at == 0 else 0.9,
            opacity=1.0 if at == 0 else 0.6,
        )
        for at in range(min(samples, generated.sizes["sample"]))
    ]
    middle = [] if real is None else [Course("real", real, FAINT, ink=True)]
    return [*runs[:0:-1], *middle, *runs[:1]]


def draw_likeness(real: xr.DataArray, generated: xr.DataArray, channels: list[int]) -> go.Figure:
    """Draw power spectra (left) and distributions (right) of real and generated behaviour.

    Of the generated runs the 5 to 95 % range is shaded around the median.
    """
    titles = [
        f"{label(real['channel'].values[at])}: {what}"
        for at in channels
        for what in ("power spectrum", "distribution")
    ]
    figure = pair_rows(titles)
    time_T = np.asarray(real["time"].values, float)
    for row, at in enumerate(channels, start=1):
        real_T = np.asarray(real.isel(channel=at).values, float)
        runs_ST = np.asarray(generated.isel(channel=at).transpose("sample", "time").values, float)
        _add_pair(figure, _spectra(time_T, real_T, runs_ST), (row, 1), named=row == 1)
        _add_pair(figure, _distributions(real_T, runs_ST), (row, 2), named=False)
        figure.update_yaxes(
            type="log", title_text="power", exponentformat="power", dtick=1, row=row, col=1
        )
        figure.update_xaxes(title_text="frequency [Hz]", row=row, col=1)
        figure.update_yaxes(title_text="density", row=row, col=2)
        figure.update_xaxes(title_text="value", row=row, col=2)
    figure.update_layout(showlegend=True)
    return figure


Curves = tuple[Floats, Floats, Floats]
"""x, real, (sample, x) generated."""


def _spectra(time_T: NDArray[np.float64], real_T: Floats, runs_ST: Floats) -> Curves:
    # One window for all: the real course may have gaps where the generated ones have none.
    window = min(_spectrum_window(time_T, values_T) for values_T in (real_T, *runs_ST))
    real = estimate_spectrum(time_T, real_T, window)
    runs = [estimate_spectrum(time_T, run_T, window)[1] for run_T in runs_ST]
    return real[0], real[1], np.array(runs).reshape(len(runs), len(real[1]))


def _spectrum_window(time_T: NDArray[np.float64], values_T: Floats) -> int:
    """Return 256 samples, or half of the longest gapless stretch where that is shorter."""
    longest = max((run.stop - run.start for run in _stretches(time_T, values_T)), default=0)
    return min(LONGEST_SPECTRUM, max(longest // 2, min(longest, 32)))


def _stretches(time_T: NDArray[np.float64], values_T: Floats) -> list[slice]:
    return true_runs(np.isfinite(values_T), find_gaps(time_T, GAP_PERIODS))


def estimate_spectrum(
    time_T: NDArray[np.float64], values_T: Floats, window: int
) -> tuple[Floats, Floats]:
    """Return frequencies in Hz and Welch's power density over the gapless stretches.

    Empty where the window has fewer than 8 samples.
    """
    runs = _stretches(time_T, values_T)
    if window < 8:
        return np.empty(0), np.empty(0)
    spectra, weights = [], []
    frequency = np.empty(0)
    for run in runs:
        if run.stop - run.start >= window:
            frequency, power = welch(
                values_T[run], fs=1 / sample_period(time_T), nperseg=window, detrend="constant"
            )
            spectra.append(power)
            weights.append(run.stop - run.start)
    # The constant has been removed: its power would be 0 on a logarithmic axis.
    return frequency[1:], np.average(spectra, axis=0, weights=weights)[1:]


def _distributions(real_T: Floats, runs_ST: Floats) -> Curves:
    everything = np.concatenate([real_T, runs_ST.ravel()])
    finite = everything[np.isfinite(everything)]
    if not finite.size:
        return np.empty(0), np.empty(0), np.empty((0, 0))
    low, high = np.quantile(finite, [0.001, 0.999])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    densities = [_density(values, edges) for values in (real_T, *runs_ST)]
    return (edges[1:] + edges[:-1]) / 2, densities[0], np.array(densities[1:])


def _density(values: Floats, edges: Floats) -> Floats:
    finite = values[np.isfinite(values)]
    counts = np.histogram(finite, edges)[0]
    return np.asarray(counts / max(finite.size, 1) / (edges[1] - edges[0]))


def _add_pair(figure: go.Figure, curves: Curves, cell: tuple[int, int], *, named: bool) -> None:
    for trace in _pair(curves, named):
        figure.add_trace(trace, row=cell[0], col=cell[1])


def _pair(curves: Curves, named: bool) -> Iterator[go.Scatter]:
    """Yield the shaded range and the median of the runs, and the real curve above them."""
    x, real, runs_SX = curves
    if runs_SX.size:
        low, middle, high = np.quantile(runs_SX, [0.05, 0.5, 0.95], axis=0)
        yield band(x, low, high, GENERATED)
        yield go.Scatter(
            x=x,
            y=middle,
            mode="lines",
            line={"color": GENERATED, "width": 1.6},
            name="generated (median and 5–95 % of runs)",
            showlegend=named,
        )
    if real.size:
        yield go.Scatter(
            x=x,
            y=real,
            mode="lines",
            line={"color": FAINT, "width": 1.6},
            meta=INK,
            name="real",
            showlegend=named,
        )
