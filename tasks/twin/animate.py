"""A virtual animal from an aligned session and its causal graph."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from schemas.contracts.streams import ROOT_ATTRS
from schemas.errors import RecordingTooShortError, SettingsError
from schemas.settings.split import SplitSettings
from schemas.settings.twin import TwinSettings
from tasks.common.segments import true_runs
from tasks.twin.choose import Chosen, choose_on_validation
from tasks.twin.forecast import forecast, forecast_starts, judge_forecasts, longest_horizon
from tasks.twin.generate import RunOn, animate_stretches, run_network
from tasks.twin.library import Floats, Library, Scale, build_library, run_lengths, scale_of
from tasks.twin.linear import Autoregression, fit_autoregression, run_autoregression
from tasks.twin.network import (
    Graph,
    Network,
    choose_behaviours,
    grow_network,
    own_dimensions,
    read_graph,
)
from tasks.twin.realism import Judge, judge_realism
from tasks.twin.recording import Axis, read_axis, read_nodes

MIN_WINDOW = 8
MAX_FORECASTS = 60


@dataclass(frozen=True)
class Animal:
    """What is known of the animal before anything is generated.

    scaled_TN : (time, node) in training SDs, behaviours first, NaN in gaps
    """

    axis: Axis
    network: Network
    scaled_TN: Floats
    scale: Scale

    @property
    def behaviours(self) -> int:
        """Animated channels; they are the first nodes."""
        return len(self.network.behaviours)


def animate(aligned: xr.DataTree, causal: xr.DataTree, settings: TwinSettings) -> xr.DataTree:
    """Grow a network from the causal graph, run it through the test part, and judge it.

    The library is the training part; the validation part chooses how nodes predict; the test
    part is only looked at to judge. The run starts from the last state before the test part.

    Parameters
    ----------
    aligned : tree of the ALIGNED contract
    causal : tree of the CAUSAL contract, computed with the same split

    Returns
    -------
    Tree of the TWIN contract.

    Raises
    ------
    SettingsError
        The graph was made with another split, or a named behaviour is not in it.
    NothingToDoError
        No neurons, no behaviour, no edge between them, or too few samples; says which.
    """
    check_graph(causal, settings.split)
    axis = read_axis(aligned, settings.split)
    animal = meet_animal(aligned, axis, read_graph(causal), settings)
    window = window_samples(animal, settings)
    own = own_dimensions(causal, animal.network.nodes, settings.own_delays)
    chosen = choose_on_validation(
        animal.scaled_TN,
        axis.segment_T,
        axis.split.train,
        axis.split.validation,
        animal.behaviours,
        window,
        partial(_library, animal, own, settings),
        settings,
    )
    linear = fit_bar(animal, min(settings.own_delays, chosen.library.depth))
    generated_STC, bar_STC = generate_behaviour(animal, chosen, linear, settings)
    realism = judge_realism(
        Judge(animal.network.behaviours, window),
        animal.scaled_TN[:, : animal.behaviours],
        generated_STC,
        bar_STC,
        axis.segment_T,
        axis.split.train,
        axis.split.fitting,
        axis.split.test,
    )
    groups = {
        "/": xr.Dataset(attrs=_root_attrs(aligned, settings, chosen)),
        "/drivers": _drivers(animal.network),
        "/network": _edges(animal.network),
        "/behaviour": _behaviour(animal, generated_STC),
        "/realism": realism,
    }
    scores = forecast_test(animal, chosen, linear, settings)
    return xr.DataTree.from_dict(groups if scores is None else {**groups, "/forecast": scores})


def check_graph(causal: xr.DataTree, split: SplitSettings) -> None:
    """Raise SettingsError unless the graph saw the parts before the test part, and only those."""
    if causal.attrs["use"] != "fitting":
        raise SettingsError(
            f"the causal graph was made from {causal.attrs['use']!r} samples, test part included",
            where="causal.use",
            remedy="Make it with use: fitting.",
        )
    graph_split = SplitSettings.model_validate(json.loads(causal.attrs["split"]))
    if graph_split != split:
        raise SettingsError(
            f"the causal graph was made with the split {graph_split!r}, the twin has {split!r}",
            where="twin.split",
            remedy="Give both stages the same split: a graph that saw the test part leaks it.",
        )


def meet_animal(aligned: xr.DataTree, axis: Axis, graph: Graph, settings: TwinSettings) -> Animal:
    """Grow the network, leaving out nodes that are hardly valid or constant in training."""
    while True:
        behaviours = choose_behaviours(graph, settings)
        network = grow_network(graph, behaviours, settings)
        values_TN = read_nodes(aligned, network.nodes, axis, settings.smoothing_s)
        seen = values_TN[axis.split.train]
        valid_N = np.isfinite(seen).mean(axis=0) >= settings.min_valid_fraction
        # A column without any valid sample fails by its share, and must not reach the minimum.
        filled = np.where(valid_N, seen, 0.0)
        usable_N = valid_N & (np.nanmax(filled, axis=0) > np.nanmin(filled, axis=0))
        poor = [n for n, ok in zip(network.nodes, usable_N, strict=True) if not ok]
        if not poor:
            break
        graph = graph.without(poor)
    scale = scale_of(values_TN, axis.split.train)
    return Animal(axis, network, scale.to_units(values_TN), scale)


def window_samples(animal: Animal, settings: TwinSettings) -> int:
    """Return the samples of a comparison window: half the test samples lie in longer stretches.

    Raises
    ------
    RecordingTooShortError
        That would be fewer than 8 samples.
    """
    good_T = np.isfinite(animal.scaled_TN[:, : animal.behaviours]).all(axis=1)
    good_T &= animal.axis.segment_T >= 0
    found = true_runs(good_T & animal.axis.split.test, animal.axis.segment_T)
    lengths = np.sort([stretch.stop - stretch.start for stretch in found] or [0])
    middle = int(np.searchsorted(np.cumsum(lengths), lengths.sum() / 2))
    wanted = max(round(settings.window_s * animal.axis.rate_hz), settings.min_window_samples)
    window = min(wanted, int(lengths[middle]))
    if window < MIN_WINDOW:
        raise RecordingTooShortError(
            f"The test part's gapless stretches of behaviour allow windows of {window} samples; "
            f"{MIN_WINDOW} are needed to compare them.",
            remedy="Record longer stretches, or align at a higher rate.",
        )
    return window


def _library(animal: Animal, own: dict[str, int], settings: TwinSettings, delay: int) -> Library:
    return build_library(
        animal.scaled_TN,
        animal.axis.segment_T,
        animal.axis.split.train,
        animal.network,
        own,
        settings.driver_delays,
        delay,
        settings.range_margin,
        settings.max_library,
    )


def fit_bar(animal: Animal, order: int) -> dict[str, Autoregression]:
    """Fit the linear model of each behaviour that the twin is measured against."""
    segment_T, train_T = animal.axis.segment_T, animal.axis.split.train
    return {
        name: fit_autoregression(animal.scaled_TN[:, at], segment_T, train_T, order)
        for at, name in enumerate(animal.network.behaviours)
    }


def generate_behaviour(
    animal: Animal, chosen: Chosen, linear: dict[str, Autoregression], settings: TwinSettings
) -> tuple[Floats, Floats]:
    """Run the twin and the linear models through the test part: two (sample, time, channel)."""
    test_T, segment_T = animal.axis.split.test, animal.axis.segment_T
    good_T = np.isfinite(animal.scaled_TN).all(axis=1)
    animated: Callable[[np.random.Generator, RunOn], Floats] = partial(
        animate_stretches,
        animal.scaled_TN,
        chosen.library,
        true_runs(test_T & (segment_T >= 0), segment_T),
        run_lengths(good_T & ~test_T, segment_T),
        settings.n_samples,
    )
    rng, bar_rng = np.random.default_rng(settings.seed).spawn(2)

    def run_twin(history_SHN: Floats, steps: int) -> Floats:
        return run_network(chosen.library, chosen.choice, history_SHN, steps, rng)

    def run_bar(history_SHN: Floats, steps: int) -> Floats:
        columns = enumerate(linear.values())
        return np.stack(
            [run_autoregression(m, history_SHN[..., at], steps, bar_rng) for at, m in columns],
            axis=-1,
        )

    return animated(rng, run_twin)[..., : animal.behaviours], animated(bar_rng, run_bar)


def forecast_test(
    animal: Animal, chosen: Chosen, linear: dict[str, Autoregression], settings: TwinSettings
) -> xr.Dataset | None:
    """Score short forecasts from real states of the test part; None if all are too short."""
    segment_T, test_T = animal.axis.segment_T, animal.axis.split.test
    good_T = np.isfinite(animal.scaled_TN).all(axis=1)
    depth = chosen.library.depth
    wanted = max(settings.forecast_horizons)
    ahead = longest_horizon(good_T, segment_T, test_T, depth, wanted)
    if ahead < min(settings.forecast_horizons):
        return None
    last_S = forecast_starts(good_T, segment_T, test_T, depth, ahead, MAX_FORECASTS)
    rng = np.random.default_rng(settings.seed)
    members = max(settings.n_samples, 8)
    made = forecast(animal.scaled_TN, chosen.library, chosen.choice, last_S, ahead, members, rng)
    return judge_forecasts(animal.scaled_TN, settings.forecast_horizons, made, linear)


def _root_attrs(
    aligned: xr.DataTree, settings: TwinSettings, chosen: Chosen
) -> dict[str, str | int]:
    return {
        **{name: aligned.attrs[name] for name in ROOT_ATTRS},
        "split": json.dumps(settings.split.model_dump(mode="json"), sort_keys=True),
        "seed": settings.seed,
        "choice": json.dumps(chosen.choice.as_dict(), sort_keys=True),
    }


def _drivers(network: Network) -> xr.Dataset:
    direct = [edge for edge in network.edges if edge.node in network.behaviours]
    return xr.Dataset(
        {
            "target": ("driver", np.array([edge.node for edge in direct])),
            "node": ("driver", np.array([edge.driver for edge in direct])),
            "skill": ("driver", np.array([edge.skill for edge in direct])),
        }
    )


def _edges(network: Network) -> xr.Dataset:
    return xr.Dataset(
        {
            "driver": ("edge", np.array([edge.driver for edge in network.edges])),
            "node": ("edge", np.array([edge.node for edge in network.edges])),
            "skill": ("edge", np.array([edge.skill for edge in network.edges])),
        }
    )


def _behaviour(animal: Animal, generated_STC: Floats) -> xr.Dataset:
    """Return real and generated behaviour of the test part in the recording's own units."""
    test_T = animal.axis.split.test
    channels = animal.behaviours
    real_TC = animal.scaled_TN[test_T, :channels]
    scale = Scale(animal.scale.mean_N[:channels], animal.scale.sd_N[:channels])
    return xr.Dataset(
        {
            "real": (("time", "channel"), scale.from_units(real_TC)),
            "generated": (
                ("sample", "time", "channel"),
                scale.from_units(generated_STC[:, test_T]),
            ),
            "test_to_training_sd": ("channel", np.nanstd(real_TC, axis=0)),
        },
        {
            "time": ("time", animal.axis.time_T[test_T], {"units": "s"}),
            "channel": list(animal.network.behaviours),
            "sample": np.arange(len(generated_STC)),
        },
    )
