"""How well a session came onto one time axis, for the catalogue and the result table."""

import xarray as xr

from schemas.entities import BEHAVIOUR_KINDS, NEURAL_KINDS, QCMetric
from schemas.entities import TABLE_KINDS as TABLES

MIN_VALID = 0.5


def measure_alignment(aligned: xr.DataTree) -> list[QCMetric]:
    """Return the valid fraction of each stream of a written aligned tree."""
    return [
        _valid_fraction(name, node.to_dataset(inherit=False))
        for name, node in aligned.children.items()
        if "valid" in node.data_vars and node.attrs["stream_kind"] not in TABLES
    ]


def _valid_fraction(name: str, stream: xr.Dataset) -> QCMetric:
    share = float(stream["valid"].mean().compute())
    note = "its clock does not overlap the time axis" if share == 0 else ""
    return QCMetric(
        name=f"valid_fraction:{name}",
        value=share,
        threshold=MIN_VALID,
        verdict="pass" if share >= MIN_VALID else "warn",
        note=note,
    )


def summarise_alignment(aligned: xr.DataTree) -> str:
    """Return the key figure, e.g. "1,061 samples x 82 columns at 10 Hz"."""
    wanted = NEURAL_KINDS | BEHAVIOUR_KINDS | {"signal"}
    columns = sum(
        node[node.attrs["primary"]].shape[1]
        for node in aligned.children.values()
        if node.attrs["stream_kind"] in wanted
    )
    clock = aligned["clock"]
    return (
        f"{clock.sizes['time']:,} samples x {columns:,} columns at {clock.attrs['rate_hz']:.4g} Hz"
    )
