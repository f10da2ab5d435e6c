"""A session's clocks as a tree of the contract SYNC, and back."""

import json

import numpy as np
import xarray as xr

from schemas.entities import QCMetric
from schemas.settings.sync import SyncSettings
from tasks.align.sync import Sync, synchronise
from tasks.align.sync_chains import Pulses, Times
from tasks.align.sync_map import ClockMap
from tasks.align.sync_pairs import DeviceClock, Streams, find_clocks, known_window, read_pulses

MAX_RESIDUAL_MS = 1.0
MIN_MATCHED = 0.8
SECONDS = {"units": "s"}
NONE = np.zeros(0)


def synchronise_clocks(preprocessed: xr.DataTree, settings: SyncSettings) -> xr.DataTree | None:
    """Relate every device clock of a session to the session's own; None if it has no other.

    Returns
    -------
    Tree of the contract SYNC
    """
    streams = {n: node.to_dataset(inherit=False) for n, node in preprocessed.children.items()}
    clocks = find_clocks(streams, settings)
    if not clocks:
        return None
    groups = {f"/{clock.name}": relate_clock(streams, clock, settings) for clock in clocks}
    return xr.DataTree.from_dict({"/": preprocessed.to_dataset(inherit=False), **groups})


def relate_clock(streams: Streams, clock: DeviceClock, settings: SyncSettings) -> xr.Dataset:
    """Return one clock's group."""
    if clock.pair is None:
        sync = Sync(Pulses.plain(NONE), Pulses.plain(NONE), ())
        described = describe_sync(sync, clock.problem)
        evidence, names = "none", {"reference": "", "device": ""}
    else:
        reference, device = read_pulses(streams, clock.pair)
        window = known_window(reference, device, clock.pair)
        sync = synchronise(reference, device, settings, window)
        described = describe_sync(sync)
        numbered = bool((device.label_P >= 0).any())
        evidence = "numbers" if numbered else "intervals" if window is None else "known offset"
        names = {"reference": clock.pair.reference, "device": clock.pair.device}
    return described.assign_attrs(
        stream_kind="sync",
        streams=json.dumps(clock.streams),
        extrapolate_s=settings.extrapolate_s,
        evidence=evidence,
        **names,
    )


def describe_sync(sync: Sync, problem: str = "") -> xr.Dataset:
    """Return the map, the pulses and how well they agree."""
    clock = sync.clock_map()
    missing = np.zeros(len(sync.reference.time_P), bool)
    missing[sync.missing] = True
    late_s = np.abs(sync.residual_s[np.isfinite(sync.residual_s)])
    figures: dict[str, float] = {}
    if sync.segments:
        first = sync.segments[0].line
        weight = np.array([len(s.device_M) for s in sync.segments])
        drifts = [_mean_drift(s.line.knot_K, s.line.offset_K) for s in sync.segments]
        bends = np.concatenate([s.line.drift_ppm for s in sync.segments])
        figures = {
            "offset_s": float(first.offset_K[0]),
            "drift_ppm": float(np.average(drifts, weights=weight)),
            "drift_least_ppm": float(bends.min()),
            "drift_greatest_ppm": float(bends.max()),
            "residual_median_s": float(np.median(late_s)),
            "residual_p95_s": float(np.quantile(late_s, 0.95)),
            "residual_max_s": float(late_s.max()),
        }
    judged = (*sync.segments, *sync.doubtful)
    return xr.Dataset(
        {
            "device_time": ("point", clock.device_N, SECONDS),
            "reference_time": ("point", clock.reference_N, SECONDS),
            "segment": ("point", clock.segment_N),
            "span_start": ("span", clock.start_S, SECONDS),
            "span_stop": ("span", clock.stop_S, SECONDS),
            "span_segment": ("span", clock.segment_S),
            "epoch": ("stretch", clock.epoch_G),
            "pulse_time": ("pulse", sync.device.time_P, SECONDS),
            "partner": ("pulse", sync.partner),
            "residual": ("pulse", sync.residual_s, SECONDS),
            "reference_pulse_time": ("reference_pulse", sync.reference.time_P, SECONDS),
            "missing": ("reference_pulse", missing),
        },
        attrs={
            "verdict": sync.verdict,
            "reason": problem or tell_reason(sync),
            "resets": clock.resets,
            "segments": len(sync.segments),
            "matched": int((sync.partner >= 0).sum()),
            "missing_count": len(sync.missing),
            "spurious_count": len(sync.spurious),
            "margin": min((s.margin for s in judged), default=0.0),
            **figures,
        },
    )


def _mean_drift(device_K: Times, offset_K: Times) -> float:
    return float(1e6 * (offset_K[-1] - offset_K[0]) / (device_K[-1] - device_K[0]))


def tell_reason(sync: Sync) -> str:
    """Return why a clock is not related, or not throughout; empty if it is."""
    if sync.verdict == "unmatched":
        counts = f"{len(sync.device.time_P):,} and {len(sync.reference.time_P):,} pulses"
        return f"no stretch of the {counts} has the same intervals on both clocks"
    parts = []
    for segment in sync.doubtful:
        rival = min(segment.rivals, key=lambda r: (r.beaten, r.margin), default=None)
        if rival is None or rival.beaten:
            parts.append(f"{len(segment.device_M):,} pulses contradict a longer stretch")
        else:
            parts.append(
                f"{len(segment.device_M):,} pulses match as well when shifted by "
                f"{rival.shift_s:+.4g} s"
            )
    return "; ".join(parts)


def read_map(clock: xr.Dataset) -> ClockMap:
    """Return the map of one clock's group."""
    return ClockMap(
        device_N=clock["device_time"].values,
        reference_N=clock["reference_time"].values,
        segment_N=clock["segment"].values,
        start_S=clock["span_start"].values,
        stop_S=clock["span_stop"].values,
        segment_S=clock["span_segment"].values,
        epoch_G=clock["epoch"].values,
        resets=int(clock.attrs["resets"]),
    )


def measure_sync(clocks: xr.DataTree) -> list[QCMetric]:
    """Return how well each clock was related."""
    metrics = []
    for name, node in clocks.children.items():
        told, reason = node.attrs, str(node.attrs["reason"])
        sure = told["verdict"] == "synchronised"
        metrics.append(
            QCMetric(
                name=f"sync_margin:{name}",
                value=float(told["margin"]),
                verdict="pass" if sure else "warn" if told["verdict"] == "partial" else "fail",
                note="" if sure else f"{told['verdict']}: {reason}",
            )
        )
        if "residual_p95_s" not in told:
            continue
        late_ms = 1e3 * float(told["residual_p95_s"])
        seen = int(told["matched"])
        share = seen / (seen + int(told["missing_count"]) + int(told["spurious_count"]))
        metrics += [
            _bounded(f"sync_residual_p95_ms:{name}", late_ms, MAX_RESIDUAL_MS, at_most=True),
            _bounded(f"sync_matched_fraction:{name}", share, MIN_MATCHED, at_most=False),
        ]
    return metrics


def _bounded(name: str, value: float, threshold: float, *, at_most: bool) -> QCMetric:
    good = value <= threshold if at_most else value >= threshold
    return QCMetric(name=name, value=value, threshold=threshold, verdict="pass" if good else "warn")


def summarise_sync(clocks: xr.DataTree) -> str:
    """Return the key figure, e.g. "camera: 355 pulses, +31.8 ppm, p95 0.11 ms"."""
    parts = []
    for name, node in clocks.children.items():
        told = node.attrs
        if "drift_ppm" in told:
            late = f"{told['drift_ppm']:+.1f} ppm, p95 {1e3 * told['residual_p95_s']:.2g} ms"
            parts.append(f"{name}: {told['matched']:,} pulses, {late}")
        else:
            parts.append(f"{name}: {told['verdict']}")
    return "; ".join(parts)
