"""Cleaned streams: the groups of `streams`, each with a `valid` mask beside its primary variable.

Where `valid` is true the primary variable is finite. Nothing is lost: where cleaning changed
values on the same time axis the old ones stay as `<primary>_raw`; otherwise the attribute `raw`
names the variable of the parent `streams` artifact. `provenance` lists the operations as JSON.
A unit or channel with `keep` false is set aside for the `reason` beside it, not removed.

Only the primary variable goes on to the stages that follow. What else cleaning derives stays
beside it for whoever asks: `egocentric` points, `pupil_diameter`, `gaze_degrees`, `band_power` on a
time of its own, `movement` of an accelerometer, `deconvolved`. Intervals that were found in a
stream are groups of their own: `NAME_saccades`, `NAME_fixations`, `NAME_calls`.
"""

from dataclasses import replace

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import (
    CALCIUM,
    CHANNELS,
    EVENTS,
    INTERVALS,
    LFP,
    POSE,
    ROOT_ATTRS,
    SPIKES,
    VIDEO,
)

_COLUMNS = (("time",), ("time", "unit"), ("time", "channel"))
VALID = {"valid": Variable(_COLUMNS, "b")}


def _cleaned(contract: DatasetContract, **more: Variable) -> DatasetContract:
    """Return a stream's contract with what cleaning adds to it."""
    return replace(
        contract,
        variables={**contract.variables, **more},
        attrs=(*contract.attrs, "provenance", "raw"),
    )


def _derived(*dims: str) -> Variable:
    """Return what may be derived of a stream, floats with a unit."""
    return Variable(dims, "f", units=True, optional=True)


def _quality(dim: str) -> dict[str, Variable]:
    return {"keep": Variable((dim,), "b"), "reason": Variable((dim,), TEXT)}


PREPROCESSED = TreeContract(
    "preprocessed",
    ROOT_ATTRS,
    by_kind={
        "spikes": _cleaned(
            SPIKES,
            firing_rate=Variable(("unit",), "f", units=True),
            isi_violations=Variable(("unit",), "f"),
            presence_ratio=Variable(("unit",), "f"),
            contamination=Variable(("unit",), "f"),
            amplitude_cutoff=Variable(("unit",), "f"),
            **_quality("unit"),
        ),
        "calcium": _cleaned(
            CALCIUM,
            noise=Variable(("unit",), "f"),
            noise_level=_derived("unit"),
            deconvolved=_derived("time", "unit"),
            **VALID,
            **_quality("unit"),
        ),
        "lfp": _cleaned(
            LFP,
            band_power=_derived("band_time", "channel", "band"),
            **VALID,
            **_quality("channel"),
        ),
        "eye": _cleaned(
            CHANNELS,
            pupil_diameter=_derived("time"),
            pupil_area=_derived("time"),
            gaze_degrees=_derived("time", "direction"),
            **VALID,
        ),
        "motion": _cleaned(CHANNELS, movement=_derived("time"), **VALID),
        "audio": _cleaned(
            CHANNELS,
            ultrasound=_derived("time"),
            calling=Variable(("time",), "b", optional=True),
            **VALID,
        ),
        "signal": _cleaned(CHANNELS, **VALID),
        "pose": _cleaned(
            POSE,
            speed=Variable(("time", "individual"), "f", units=True),
            heading=Variable(("time", "individual"), "f", units=True),
            egocentric=_derived("time", "direction", "keypoint", "individual"),
            valid=Variable(("time", "keypoint", "individual"), "b"),
        ),
        "video": _cleaned(
            VIDEO,
            value=Variable(("time", "channel"), "f", optional=True),
            component_image=_derived("component", "row", "column"),
            **VALID,
        ),
        "events": EVENTS,
        "intervals": INTERVALS,
    },
)
