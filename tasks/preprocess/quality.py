"""What preprocessing found: quality figures of the cleaned streams, for the catalogue."""

from collections.abc import Iterator

import xarray as xr

from schemas.entities import NEURAL_KINDS, QCMetric

MIN_VALID = 0.5
MAX_MISSING_FRAMES = 0.001
"""ibllib qc/camera.py: more dropped frames than one in a thousand is a fault."""


def measure_quality(cleaned: xr.DataTree) -> list[QCMetric]:
    """Return the quality figures of a written tree of cleaned streams."""
    return [
        metric
        for name, node in cleaned.children.items()
        for metric in _stream_quality(name, node.to_dataset(inherit=False))
    ]


def _stream_quality(name: str, stream: xr.Dataset) -> Iterator[QCMetric]:
    if "valid" in stream:
        valid = stream["valid"]
        share = float(valid.mean().compute()) if valid.size else 0.0
        reason = stream.attrs.get("no_features", "")
        yield _metric(f"valid_fraction:{name}", share, MIN_VALID, share >= MIN_VALID, reason)
    if "keep" in stream:
        kept, size = int(stream["keep"].sum()), stream["keep"].size
        aside = [str(reason) for reason in stream["reason"].values if reason]
        note = f"{size - kept} of {size} set aside" if aside else ""
        share = kept / size if size else 0.0
        yield _metric(f"kept_fraction:{name}", share, MIN_VALID, share >= MIN_VALID, note)
    if stream.attrs.get("stream_kind") == "video" and "value" in stream:
        times, frames = (stream.attrs[f"frames_in_{x}"] for x in ("recording", "video"))
        share = abs(times - frames) / max(times, 1)
        note = f"{times} frame times, {frames} frames in the video"
        passed = share <= MAX_MISSING_FRAMES
        yield _metric(f"frame_mismatch:{name}", share, MAX_MISSING_FRAMES, passed, note)


def _metric(name: str, value: float, threshold: float, passed: bool, note: str) -> QCMetric:
    verdict = "pass" if passed else "warn"
    return QCMetric(name=name, value=value, threshold=threshold, verdict=verdict, note=note)


def summarise_preprocessing(cleaned: xr.DataTree) -> str:
    """Return the key figure, e.g. "28 of 31 units kept, 4 streams"."""
    neural = [n for n in cleaned.children.values() if n.attrs["stream_kind"] in NEURAL_KINDS]
    keeps = [node["keep"] for node in neural]
    streams = f"{len(cleaned.children)} stream{'s' * (len(cleaned.children) != 1)}"
    if not keeps:
        return streams
    kept, size = sum(int(k.sum()) for k in keeps), sum(k.size for k in keeps)
    return f"{kept:,} of {size:,} units kept, {streams}"
