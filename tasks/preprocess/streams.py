"""Clean every stream of a session in the way of its kind."""

from collections.abc import Callable, Mapping

import xarray as xr

from schemas.entities import StreamKind
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.audio import measure_audio, tabulate_calls
from tasks.preprocess.calcium import PREFERENCE, are_same_cells, clean_calcium, pair_neuropil
from tasks.preprocess.eye import clean_eye
from tasks.preprocess.invalid import mask_invalid_times
from tasks.preprocess.lfp import clean_lfp
from tasks.preprocess.motion import clean_motion
from tasks.preprocess.pose import clean_pose
from tasks.preprocess.saccades import tabulate_saccades
from tasks.preprocess.spikes import assess_spikes
from tasks.preprocess.stream import as_float, is_finite, note_operation, set_aside
from tasks.preprocess.video import measure_video

Cleaner = Callable[[str, xr.Dataset, PreprocessSettings], xr.Dataset]


def pass_samples(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return a stream as it is, with `valid` where its values are finite."""
    primary = str(stream.attrs["primary"])
    valid = is_finite(as_float(stream[primary]))
    return note_operation(stream.assign(valid=valid).assign_attrs(raw=primary), "pass_through")


def pass_table(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return events or intervals as they are."""
    return stream


CLEANERS: Mapping[StreamKind, Cleaner] = {
    "spikes": assess_spikes,
    "calcium": clean_calcium,
    "lfp": clean_lfp,
    "eye": clean_eye,
    "pose": clean_pose,
    "video": measure_video,
    "audio": measure_audio,
    "motion": clean_motion,
    "signal": pass_samples,
    "events": pass_table,
    "intervals": pass_table,
}


def preprocess_streams(streams: xr.DataTree, settings: PreprocessSettings) -> xr.DataTree:
    """Clean the streams of a session, lazily where arrays are large.

    Parameters
    ----------
    streams : tree of the contract STREAMS

    Returns
    -------
    Tree of the contract PREPROCESSED: the same groups, and the intervals found in them (saccades,
    fixations, calls)
    """
    recorded = pair_neuropil(
        {name: node.to_dataset(inherit=False) for name, node in streams.children.items()}
    )
    cleaned = {
        name: CLEANERS[stream.attrs["stream_kind"]](name, stream, settings)
        for name, stream in recorded.items()
    }
    cleaned = mask_invalid_times(set_aside_duplicates(cleaned), settings)
    found = {n: table for name in cleaned for n, table in _tables(name, cleaned[name], settings)}
    # A recording may have a table of this name already: then it stays.
    groups = {f"/{name}": dataset for name, dataset in {**found, **cleaned}.items()}
    return xr.DataTree.from_dict({"/": streams.to_dataset(inherit=False), **groups})


def _tables(
    name: str, cleaned: xr.Dataset, settings: PreprocessSettings
) -> list[tuple[str, xr.Dataset]]:
    """Return the intervals found in a cleaned stream, by name."""
    kind = cleaned.attrs["stream_kind"]
    if kind == "eye":
        return [*tabulate_saccades(name, cleaned, settings).items()]
    return [*tabulate_calls(name, cleaned).items()] if kind == "audio" else []


def set_aside_duplicates(cleaned: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Use one measure of each set of cells; dF/F and its deconvolution are not two neurons.

    Of calcium streams with the same cells the first of dF/F, fluorescence, deconvolved, neuropil is
    used and the others are set aside.
    """
    result = dict(cleaned)
    calcium = {n: d for n, d in cleaned.items() if d.attrs.get("stream_kind") == "calcium"}
    for name, stream in calcium.items():
        same = [(_rank(d), n) for n, d in calcium.items() if are_same_cells(stream, d)]
        rank, chosen = min(same)
        if _rank(stream) > rank:
            why = f"the same cells as in '{chosen}'"
            result[name] = set_aside(
                stream, "unit", dict.fromkeys(range(stream.sizes["unit"]), why)
            )
    return result


def _rank(stream: xr.Dataset) -> int:
    return PREFERENCE.index(stream.attrs["measure"])
