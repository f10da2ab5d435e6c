"""Tables of events and intervals as columns, and the categories that a model then answers with."""

import numpy as np
import pytest
import xarray as xr

from schemas.errors import NotFoundError, SettingsError
from tasks.lnm.data.events import read_tables
from tasks.lnm.data.reading import open_for, read_recording
from tasks.lnm.data.recording import Columns
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.heads import Told
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.query import decode, query
from tasks.lnm.results import train_and_examine


def intervals(start, stop, **columns) -> xr.Dataset:
    told = {"start_time": start, "stop_time": stop, **columns}
    dims = {name: ("interval", np.asarray(values)) for name, values in told.items()}
    return xr.Dataset(dims, attrs={"stream_kind": "intervals"})


def events(time, **columns) -> xr.Dataset:
    dims = {n: ("event", np.asarray(v)) for n, v in {"event_time": time, **columns}.items()}
    return xr.Dataset(dims, attrs={"stream_kind": "events"})


@pytest.fixture
def with_tables(make_aligned):
    """Forty samples of two units, with licks and trials."""
    tree = make_aligned(np.random.default_rng(0).standard_normal((40, 2)))
    low = tree["clock/bin_start"].values
    licks = events([low[3], low[3] + 0.01, low[7], np.nan], side=["left", "right", "left", "left"])
    trials = intervals(
        [low[5], low[12], low[20], low[30]],
        [low[9], low[16], low[20], np.nan],
        choice=["left", "right", "left", ""],
        contrast=[0.5, 1.0, np.nan, 1.0],
        odd=np.arange(4.0),
    )
    return tree.assign({"licks": xr.DataTree(licks), "trials": xr.DataTree(trials)})


def test_events_tell_whether_and_which_fell_into_a_sample(with_tables):
    whether, which = read_tables(with_tables, ("licks", "licks/side"))
    assert np.flatnonzero(whether.values_TC[:, 0]).tolist() == [3, 7]
    assert which.names == ("licks/side=left", "licks/side=right")
    assert [np.flatnonzero(side).tolist() for side in which.values_TC.T] == [[3, 7], [3]]
    assert np.isfinite(which.values_TC).all()


def test_intervals_tell_which_category_holds_and_nothing_between(with_tables):
    whether, choice, contrast = read_tables(
        with_tables, ("trials", "trials/choice", "trials/contrast")
    )
    assert np.flatnonzero(whether.values_TC[:, 0]).tolist() == [
        *range(5, 10),
        *range(12, 17),
        20,
        30,
    ]
    assert choice.names == ("trials/choice=left", "trials/choice=right")
    left_T, right_T = choice.values_TC.T
    assert np.flatnonzero(left_T == 1).tolist() == [*range(5, 10), 20]
    assert np.flatnonzero(right_T == 1).tolist() == [*range(12, 17)]
    assert np.isnan(choice.values_TC).all(1).sum() == 40 - 11
    assert contrast.names == ("trials/contrast=0.5", "trials/contrast=1")


def test_what_no_table_has_is_refused_with_what_there_is(with_tables):
    with pytest.raises(NotFoundError, match=r"'rewards'.*trials/choice"):
        read_tables(with_tables, ("rewards",))
    with pytest.raises(NotFoundError, match="'trials/colour'"):
        read_tables(with_tables, ("trials/colour",))


def test_a_column_of_numbers_is_no_category(with_tables):
    many = intervals(np.arange(40.0), np.arange(40.0), speed=np.arange(40.0))
    with pytest.raises(SettingsError, match="40 values"):
        read_tables(with_tables.assign({"many": xr.DataTree(many)}), ("many/speed",))


def test_a_recording_has_them_as_behaviour_and_is_read_again_by_its_columns(with_tables):
    recording = read_recording(with_tables, events=("licks", "trials/choice"))
    columns = recording.columns
    assert columns.names[2:] == ("licks", "trials/choice=left", "trials/choice=right")
    assert columns.targets[2:] == ("licks", "trials/choice", "trials/choice")
    assert columns.choices == {"trials/choice": (3, 4)}
    assert not columns.neural[2:].any()
    again = open_for(columns, with_tables).whole()
    np.testing.assert_array_equal(again.values_TV, recording.values_TV)


def test_probabilities_of_categories_sum_to_one_and_one_is_drawn():
    names = ("licks", "trials/side=a", "trials/side=b", "trials/side=c")
    columns = Columns(names, ("licks", *("trials",) * 3), ("events", *("intervals",) * 3))
    mean = np.random.default_rng(0).uniform(-0.2, 1.1, (500, 4))
    told = Told(mean, np.ones_like(mean), np.zeros_like(mean))
    heads = ("bernoulli", *("categorical",) * 3)
    found = Distribution.of(told, heads, columns)
    own, chance = found.chances
    assert own.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(chance[:, 1:].sum(1), 1)
    assert (found.sample(np.random.default_rng(1))[:, 1:].sum(1) == 1).all()
    assert (found.at(np.random.default_rng(2).random((500, 4)))[:, 1:].sum(1) == 1).all()
    alone = Distribution.of(told.take(np.array([1])), heads[1:2], columns.take(np.array([1])))
    np.testing.assert_allclose(alone.chances[1], np.clip(mean[:, 1:2], 1e-6, 1 - 1e-6))


@pytest.fixture(scope="module")
def chosen():
    """Six units that tell which of three stimuli is shown, for two seconds at a time."""
    rng = np.random.default_rng(1)
    shown_T = np.repeat(rng.integers(3, size=100), 20)
    units = np.eye(3)[shown_T] @ rng.standard_normal((3, 6)) + 0.5 * rng.standard_normal(
        (len(shown_T), 6)
    )
    return shown_T, units


def test_a_model_decodes_which_category_holds(chosen, make_aligned, quick, tmp_path):
    shown_T, units = chosen
    tree = make_aligned(units)
    start = tree["clock/bin_start"].values[::20]
    table = intervals(start, start + 1.95, stimulus=[f"s{s}" for s in shown_T[::20]])
    recording = read_recording(
        tree.assign({"stimuli": xr.DataTree(table)}), events=("stimuli/stimulus",)
    )
    settings = quick.model_copy(update={"steps": 40, "generated_s": 1.0})
    result = train_and_examine(recording, settings)
    score = next(s for s in result.exam.scores if s.task == "decode")
    assert score.target == "stimuli/stimulus"
    assert score.model > 0.6
    assert score.quality.crps < 0.6 * score.quality.crps_mean
    drawn = result.generated["value"].sel(column=list(recording.columns.names[6:])).values
    np.testing.assert_allclose(drawn.sum(-1), 1, atol=1e-5)

    save_model(result.model, tmp_path)
    model = load_model(tmp_path)
    answer = decode(model, recording, t0=150.0)
    chance = answer["probability"].values
    assert answer["category"].values.tolist() == list(recording.columns.names[6:])
    np.testing.assert_allclose(chance.sum(1), 1, atol=1e-5)
    real_T = shown_T[-answer.sizes["time"] :]
    assert (chance.argmax(1) == real_T).mean() > 0.85
    xr.testing.assert_identical(
        query(model, recording, ["stimuli/stimulus"], t0=150.0)["mean"], answer["mean"]
    )
