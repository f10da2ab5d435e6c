"""Settings of how neural streams are cleaned, each default sourced."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Cleaning(BaseModel):
    """Base of the settings of one kind of stream."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SpikeCleaning(Cleaning):
    """Which sorted units are good enough to use; the others stay, with `keep` false."""

    refractory_s: float = Field(
        default=0.0015,
        gt=0,
        description="Intervals between spikes shorter than this violate the refractory period "
        "(1.5 ms, the default of ecephys_spike_sorting and IBL's brainbox).",
    )
    max_isi_violations: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="A unit with a larger fraction of violations is several neurons, set aside.",
    )
    min_spikes: int = Field(
        default=20, ge=0, description="A unit with fewer spikes carries no usable history."
    )
    presence_bins: int = Field(
        default=100,
        ge=1,
        description="Parts of the session for the presence ratio (100, ecephys_spike_sorting).",
    )
    min_presence: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Smallest fraction of parts with a spike. 0 keeps place cells, which are "
        "silent most of the time; Allen's published filter is 0.95.",
    )
    max_contamination: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Largest fraction of a unit's spikes that may be of other neurons, as its "
        "refractory violations tell (Llobet et al. 2022, doi:10.1101/2022.02.08.479192). 1 keeps "
        "all: in a short recording a handful of violations decides.",
    )
    max_amplitude_cutoff: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Largest fraction of spikes that were too small to be found, measured where "
        "the recording has amplitudes (Hill et al. 2011; Allen's published filter is 0.1). 0.5 "
        "is the most that can be measured, so it keeps all.",
    )


class CalciumCleaning(Cleaning):
    """Fluorescence to dF/F; values that are dF/F already stay as they are."""

    baseline_percentile: float = Field(
        default=8.0,
        ge=0,
        le=50,
        description="Running percentile taken as baseline F0 (8, suite2p and Dombeck et al. 2007).",
    )
    baseline_window_s: float = Field(
        default=60.0, gt=0, description="Length of the running baseline window (60 s, suite2p)."
    )
    min_valid: float = Field(
        default=0.5, ge=0, le=1, description="A unit with fewer finite samples is set aside."
    )
    neuropil_coefficient: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="So much of the neuropil around a cell is subtracted from its fluorescence, "
        "where the recording has both (0.7, suite2p; Chen et al. 2013, doi:10.1038/nature12354). "
        "0 subtracts nothing.",
    )
    detrend: bool = Field(
        default=False,
        description="Also subtract the running percentile from values that are dF/F already, "
        "where the indicator bleached or somebody's baseline was fixed.",
    )
    deconvolve: bool = Field(
        default=False,
        description="Add `deconvolved`, spikes inferred from dF/F (OASIS, Friedrich et al. 2017, "
        "doi:10.1371/journal.pcbi.1005423, as suite2p has it: decay given, no sparsity penalty). "
        "Beside the activity, not in its place.",
    )
    decay_s: float = Field(
        default=1.0,
        gt=0,
        description="Decay time of the indicator for that (1.0, suite2p; GCaMP6f 0.7, 6s 1.5).",
    )


class LfpCleaning(Cleaning):
    """Bad channels, common reference, anti-aliased decimation."""

    target_rate_hz: float = Field(
        default=500.0,
        gt=0,
        description="Decimate by the largest whole factor that keeps at least this rate.",
    )
    bad_channel_ratio: float = Field(
        default=5.0,
        gt=1,
        description="A channel is bad if its robust amplitude is this many times the median "
        "channel's (5, after SpikeInterface's detect_bad_channels), or does not vary at all.",
    )
    reference: bool = Field(
        default=True,
        description="Subtract the median of all good channels from each sample "
        "(common median reference).",
    )
    min_reference_channels: int = Field(
        default=8,
        ge=2,
        description="Fewer good channels are not re-referenced: their median is mostly signal.",
    )
    notch: Literal["auto", "50", "60", "off"] = Field(
        default="auto",
        description="Frequency of the mains in Hz, taken out with its harmonics (notches of 2 Hz, "
        "forwards and backwards). 'auto' looks for 50 and 60 Hz and takes out what it finds.",
    )
    notch_ratio: float = Field(
        default=10.0,
        gt=1,
        description="'auto' finds hum where the median channel's power there is this many times "
        "that of 3 to 8 Hz beside it (10 dB).",
    )
    bands: dict[str, tuple[float, float]] = Field(
        default={
            "delta": (1.0, 4.0),
            "theta": (4.0, 10.0),
            "beta": (12.0, 30.0),
            "low_gamma": (30.0, 80.0),
            "high_gamma": (80.0, 150.0),
        },
        description="Bands in Hz whose power is measured (rodent bands, after Buzsaki and Draguhn "
        "2004, doi:10.1126/science.1099745). Those that the rate does not allow are left out.",
    )
    band_window_s: float = Field(
        default=1.0, gt=0, description="Length of the window that power is measured in."
    )
    band_rate_hz: float = Field(
        default=4.0, ge=0, description="Values of band power a second; 0 measures none."
    )
