"""What preprocessing found: quality figures of the cleaned streams, for the catalogue."""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import xarray as xr

from schemas.entities import NEURAL_KINDS, QCMetric

MIN_VALID = 0.5
MAX_MISSING_FRAMES = 0.001
"""ibllib qc/camera.py: more dropped frames than one in a thousand is a fault."""


FIGURES: Mapping[str, tuple[str, str, Literal["median", "mean"]]] = {
    "isi_violations": ("isi_violations", "", "median"),
    "contamination": ("contamination", "", "median"),
    "presence_ratio": ("presence_ratio", "", "median"),
    "amplitude_cutoff": ("amplitude_cutoff", "", "median"),
    "noise_level": ("noise_level", "%/sqrt(Hz)", "median"),
    "likely_blink": ("blinks", "part of the values", "mean"),
    "filled": ("filled", "part of the values", "mean"),
}
"""Variable -> name of its figure, unit, and how one figure is made of many."""
USUAL_BRIGHTNESS = (20.0, 235.0)
BLURRED, MAX_BLURRED = 0.2, 0.05


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
    yield from measure_facts(name, stream)


def measure_facts(name: str, stream: xr.Dataset) -> Iterator[QCMetric]:
    """Yield what a stream's own variables say of its quality; no bar is set for these."""
    for variable, (figure, unit, reduce) in FIGURES.items():
        if variable not in stream or not stream[variable].size:
            continue
        values = np.asarray(stream[variable].values, np.float64)
        if np.isfinite(values).any():
            note = f"{reduce} of {values.size:,}" + (f", {unit}" if unit else "")
            value = float(np.nanmedian(values) if reduce == "median" else np.nanmean(values))
            yield QCMetric(name=f"{figure}:{name}", value=value, verdict="info", note=note)
    if hum := float(stream.attrs.get("line_noise_hz", 0.0)):
        yield QCMetric(name=f"hum_removed:{name}", value=hum, verdict="info", note="Hz")
    if "value" in stream and stream.attrs.get("stream_kind") == "video":
        yield from _picture_quality(name, stream)


def _picture_quality(name: str, stream: xr.Dataset) -> Iterator[QCMetric]:
    """Yield brightness, and how much the focus changed; see ibllib qc/camera.py."""
    labels = [str(label) for label in stream["channel"].values]
    brightness, focus = (
        np.asarray(stream["value"][:, labels.index(c)].values, np.float64)
        for c in ("brightness", "focus")
    )
    if np.isfinite(brightness).any():
        level = float(np.nanmean(brightness))
        low, high = USUAL_BRIGHTNESS
        note = f"grey level of 255, usual {low:g} to {high:g}"
        verdict: Literal["pass", "warn"] = "pass" if low <= level <= high else "warn"
        yield QCMetric(name=f"brightness:{name}", value=level, verdict=verdict, note=note)
    if np.nanmedian(focus) > 0:
        blurred = float((focus < BLURRED * np.nanmedian(focus)).mean())
        passed = blurred <= MAX_BLURRED
        note = f"frames with less than {BLURRED:.0%} of the usual variance of the Laplacian"
        yield _metric(f"blurred_frames:{name}", blurred, MAX_BLURRED, passed, note)


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
