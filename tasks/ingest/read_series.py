"""Readers of plain series: a TimeSeries of any kind, ROI traces, voltages."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from schemas.entities import StreamKind
from tasks.ingest.damage import damage_told
from tasks.ingest.kinds import series_kind, wrap_period
from tasks.ingest.names import fallback_name, row_names, slug, stream_name
from tasks.ingest.objects import Container, NwbObject, ReadContext, Stream, stored_path
from tasks.ingest.places import column_places, roi_places
from tasks.ingest.read_events import events_of_series
from tasks.ingest.read_pose import point_stream
from tasks.ingest.sampled import (
    MAX_COLUMNS,
    Samples,
    as_columns,
    column_labels,
    read_samples,
    sampled_dataset,
    scaled_columns,
)
from tasks.ingest.tables import row_columns


class SeriesReader:
    """Any TimeSeries that no other reader claims."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim every TimeSeries."""
        return found.is_a("TimeSeries")

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield the series as the kind it is; see kinds.series_kind."""
        yield from read_series(found, context)


class RoiReader:
    """RoiResponseSeries, the traces of the ROIs of a segmentation."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim RoiResponseSeries that the settings do not make something else."""
        return found.is_a("RoiResponseSeries") and series_kind(found, context) == "calcium"

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one calcium stream, a unit for each ROI."""
        yield from _table_columns(found, "calcium", "rois", "roi", context)


class ElectricalReader:
    """ElectricalSeries, voltages of the electrodes of a region."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim ElectricalSeries, but not the snippets of a SpikeEventSeries."""
        is_voltage = found.is_a("ElectricalSeries") and not found.is_a("SpikeEventSeries")
        return is_voltage and series_kind(found, context) == "lfp"

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one lfp stream in volts, a channel for each electrode."""
        yield from _table_columns(found, "lfp", "electrodes", "electrode", context)


def read_series(found: NwbObject, context: ReadContext) -> Iterator[Stream]:
    """Yield a series as the stream that its kind asks for."""
    kind = series_kind(found, context)
    if kind == "events":
        yield from events_of_series(found, context)
        return
    if kind not in ("calcium", "lfp", "eye", "audio", "motion", "signal", "pose"):
        context.note(
            "kind_impossible",
            "warning",
            f"A {found.type_name} cannot be read as '{kind}'; it is left out.",
            found.path,
            "Change the pattern in the 'kinds' setting.",
        )
        return
    samples = read_samples(found, context)
    if samples is None or _too_wide(found, samples, context):
        return
    if kind == "pose":
        yield point_stream(found, samples, context)
        return
    columns = as_columns(samples.array)
    values = scaled_columns(found, columns, ("time", "unit" if kind == "calcium" else "channel"))
    labels = column_labels(found, samples.array.shape, slug(found.name))
    dataset = sampled_dataset(kind, found, values, samples.clock, labels, context)
    note_unit(found, context)
    yield Stream(stream_name(found), fallback_name(found), _mark_heading(found, dataset, context))


def _too_wide(found: NwbObject, samples: Samples, context: ReadContext) -> bool:
    columns = int(np.prod(samples.array.shape[1:], dtype=np.int64))
    if columns <= MAX_COLUMNS:
        return False
    context.note(
        "too_many_columns",
        "warning",
        f"Each sample has {columns:,} values (shape {samples.array.shape}); the series is left "
        f"out, since a stream has at most {MAX_COLUMNS:,} channels.",
        found.path,
        "Write images as an ImageSeries.",
        value=f"{columns:,} values",
    )
    return True


def _mark_heading(found: NwbObject, dataset: xr.Dataset, context: ReadContext) -> xr.Dataset:
    """Say by which period a heading wraps, so that nobody averages across the jump."""
    period = wrap_period(found)
    if period is None and found.parent is not None and found.parent.is_a("CompassDirection"):
        unit = found.text("unit")
        context.note(
            "no_angle_unit",
            "warning",
            f"Headings in '{unit}': whether they wrap at 360 or at 2 pi is not known, and they "
            "are taken for numbers on a line.",
            found.path,
            "Write the unit as 'radians' or 'degrees'.",
            value=unit,
        )
    return dataset if period is None else dataset.assign_attrs(wrap_period=period)


def note_unit(found: NwbObject, context: ReadContext) -> None:
    """Record that a series has no unit of measure."""
    # pynwb reads a missing unit as "unknown".
    if found.text("unit").lower() in ("", "unknown"):
        context.note("no_unit", "warning", "The data have no unit of measure.", found.path)


def _table_columns(
    found: NwbObject, kind: StreamKind, region: str, prefix: str, context: ReadContext
) -> Iterator[Stream]:
    """Yield a series whose columns are rows of a table (ROIs or electrodes)."""
    samples = read_samples(found, context)
    if samples is None:
        return
    columns = as_columns(samples.array)
    count = columns.shape[1]
    dim = "unit" if kind == "calcium" else "channel"
    table, rows = _region(found, region, count, context)
    labels = [f"{prefix}_{n}" for n in range(count)]
    extra: dict[str, xr.Variable] = {}
    if table is not None:
        labels = row_names(table, rows, prefix, context)
        described = row_columns(table, dim, rows, context)
        seen = roi_places(table, rows, context) if dim == "unit" else {}
        extra = {**described, **seen, **column_places(dim, described)}
    values = scaled_columns(found, columns, ("time", dim), _gains(found, count, context))
    note_unit(found, context)
    dataset = sampled_dataset(kind, found, values, samples.clock, labels, context, extra)
    if table is not None:
        dataset.attrs[region] = stored_path(table) or str(table.name)
    yield Stream(stream_name(found), fallback_name(found), dataset)


def _region(
    found: NwbObject, name: str, count: int, context: ReadContext
) -> tuple[Container | None, np.ndarray]:
    """Return the table that describes the columns of a series, and the row of each column."""
    region = found.field(name)
    if region is None:
        context.note("no_region", "info", f"The series does not say which {name}.", found.path)
        return None, np.arange(count)
    rows = np.zeros(0, np.int64)
    with context.sparing(f"{found.path}/{name}"):
        rows = np.asarray(region.data[:], dtype=np.int64)
    if len(rows) != count or (count and (rows.min() < 0 or rows.max() >= len(region.table))):
        context.note(
            "region_mismatch",
            "warning",
            f"{count} columns but {len(rows)} {name} named, in a table of {len(region.table)}; "
            "columns are numbered instead.",
            found.path,
            f"Name one of the {name} for each column.",
            value=f"{count} and {len(rows)}",
        )
        return None, np.arange(count)
    return region.table, rows


def _gains(found: NwbObject, count: int, context: ReadContext) -> np.ndarray | None:
    """Return the gain of each channel, None where the file has none."""
    gains = found.field("channel_conversion")
    if gains is None:
        return None
    # Not spared: without its gains a series would hold wrong volts.
    with damage_told(f"{found.path}/channel_conversion"):
        values = np.asarray(gains[:], dtype=np.float64)
    if values.shape != (count,):
        what = f"channel_conversion has {values.size} values for {count} channels; it is not used."
        context.note("region_mismatch", "error", what, found.path)
        return None
    return values
