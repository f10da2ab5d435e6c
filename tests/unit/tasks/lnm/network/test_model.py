"""The network: what is hidden stays hidden, what is shut adds nothing, padding is ignored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.lnm.data.grouping import visibility_groups
from tasks.lnm.data.masks import (
    CURRICULUM,
    TOGETHER,
    draw_masks,
    draw_modes,
    possible_modes,
    thin_columns,
)
from tasks.lnm.data.recording import Columns
from tasks.lnm.network.costs import Costs, losses
from tasks.lnm.network.model import Inputs, LargeNeuralModel, ModelConfig, Prediction
from tasks.lnm.network.windows import Cut
from tasks.lnm.training.objective import MIDDLE_WEIGHT, SCALE_WEIGHT, weigh_batch, weigh_errors

COLUMNS, WINDOW = 6, 8


@pytest.fixture
def network() -> LargeNeuralModel:
    torch.manual_seed(0)
    made = LargeNeuralModel(
        ModelConfig(
            "nano",
            WINDOW,
            2,
            10.0,
            (0, 0, 0, 0, 1, 2),
            (True,) * 4 + (False,) * 2,
            ("negative_binomial",) * 2 + ("student_t",) * 4,
        )
    ).eval()
    torch.nn.init.normal_(made.write, std=0.1)
    return made


def make_inputs(batch: int = 2) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, WINDOW, COLUMNS)
    return Inputs(
        torch.randn(shape, generator=generator),
        torch.rand(shape, generator=generator) < 0.6,
        torch.randn(shape, generator=generator),
        torch.rand(shape, generator=generator) < 0.5,
        torch.ones(shape),
        torch.ones(shape),
        torch.randn(shape, generator=generator),
        torch.ones(shape),
        torch.arange(WINDOW).expand(batch, WINDOW) / 10,
        torch.ones(batch, WINDOW, dtype=torch.bool),
    )


def test_hidden_values_do_not_reach_the_output(network):
    inputs = make_inputs()
    other = torch.where(inputs.visible_BLV, inputs.values_BLV, torch.full_like(inputs[0], 99.0))
    for one, two in zip(network(inputs), network(inputs._replace(values_BLV=other)), strict=True):
        assert torch.equal(one, two)


def test_visible_values_do_reach_the_output(network):
    inputs = make_inputs()
    other = inputs.values_BLV + inputs.visible_BLV.float()
    moved = network(inputs._replace(values_BLV=other)).location_BLV - network(inputs).location_BLV
    assert moved.abs().max() > 1e-3


def test_a_closed_gate_leaves_the_linear_prediction(network):
    inputs = make_inputs()
    none = torch.zeros_like(inputs.gate_BLV)
    shut = network(inputs._replace(gate_BLV=none, middle_gate_BLV=none))
    assert torch.equal(shut.location_BLV, inputs.base_BLV)
    assert torch.equal(shut.middle_BLV, inputs.middle_BLV)


def test_an_untrained_model_is_the_linear_prediction():
    torch.manual_seed(0)
    config = ModelConfig("nano", WINDOW, 2, 10.0, (0,) * 6, (True,) * 6, ("student_t",) * 6)
    inputs = make_inputs()
    assert torch.equal(LargeNeuralModel(config)(inputs).location_BLV, inputs.base_BLV)


def test_padding_changes_nothing(network):
    inputs = make_inputs()
    inside = torch.arange(WINDOW).expand(2, WINDOW) < 4
    padded = inputs._replace(
        inside_BL=inside,
        visible_BLV=inputs.visible_BLV & inside[..., None],
        given_BLV=inputs.given_BLV & inside[..., None],
    )
    noisy = padded._replace(values_BLV=inputs.values_BLV + 3 * (~inside[..., None]).float())
    one, two = network(padded).location_BLV[:, :4], network(noisy).location_BLV[:, :4]
    assert torch.equal(one, two)


def test_a_window_does_not_depend_on_its_neighbours_in_the_batch(network):
    inputs = make_inputs(3)
    alone = inputs.change(lambda part: part[:1])
    together, by_itself = network(inputs).location_BLV[:1], network(alone).location_BLV
    assert torch.allclose(together, by_itself, atol=1e-5)


def test_times_matter_only_by_their_differences(network):
    inputs = make_inputs()
    later = inputs._replace(time_BL=inputs.time_BL + 5.0)
    moved = network(later).location_BLV
    assert torch.allclose(network(inputs).location_BLV, moved, atol=1e-4)
    faster = network(inputs._replace(time_BL=inputs.time_BL * 2))
    assert not torch.allclose(network(inputs).location_BLV, faster.location_BLV, atol=1e-4)


def test_the_mean_predictor_costs_one():
    counts_TV = np.random.default_rng(0).poisson(2.0, (4000, 1)).astype(np.float32)
    mean, sd = counts_TV.mean(), counts_TV.std()
    log_TV = np.log(np.where(counts_TV > 0, counts_TV, 1) / mean)
    deviance = (2 * (counts_TV * log_TV - counts_TV + mean)).mean()
    columns = [torch.tensor([value], dtype=torch.float32) for value in (mean, sd, np.log(mean))]
    z = torch.from_numpy((counts_TV - mean) / sd)[None]
    for counts, spread in ((True, deviance), (False, 1.0)):
        told = (torch.tensor([spread]), torch.arange(int(counts)))
        costs = Costs(torch.tensor([counts]), *columns, *told)
        predicted = Prediction(torch.zeros_like(z), torch.ones_like(z), torch.zeros_like(z))
        error, _ = losses(predicted, z, costs)
        assert float(error.mean()) == pytest.approx(1.0, rel=1e-3)


def test_the_slopes_that_training_takes_are_those_of_the_losses():
    rng = torch.Generator().manual_seed(0)
    shape = (5, 6, 3)

    def draw():
        return torch.rand(shape, generator=rng)

    costs = Costs(
        torch.tensor([True, False, False]),
        torch.tensor([0.5, -3.0, 1.0]),
        torch.tensor([1.0, 1.0, 2.0]),
        torch.tensor([np.log(0.5), 0.0, 0.0], dtype=torch.float32),
        torch.tensor([2.0, 1.0, 1.0]),
        torch.tensor([0]),
    )
    z = (2 * draw()).floor() - 0.5  # counts of 0 and 1, whose logarithm is not finite
    asked, weight = draw() < 0.5, 1 + draw()
    modes = ("decode", "forecast", "impute", "forecast", "decode")
    inputs = Inputs(*[z] * 10)
    (batch,) = weigh_batch(
        [Cut(inputs, z, asked, weight, modes)],
        np.array([True, True, False]),
        np.array([True, False, False]),
    )
    made = [(draw() + 0.1).requires_grad_() for _ in range(3)]
    loss, slopes = weigh_errors(Prediction(*made), batch, costs)
    error, spread = losses(Prediction(*made), z, costs)
    apart = (z - made[2]).abs() * weight.sqrt() * MIDDLE_WEIGHT
    forecast = torch.tensor([mode == "forecast" for mode in modes])
    cost = error * weight + forecast[:, None, None] * apart + SCALE_WEIGHT * spread
    parts = [cost[..., own][asked[..., own]].mean() for own in ([0, 1], [2])]
    expected = (parts[0] + parts[1]) / 2
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for slope, prediction in zip(slopes, made, strict=True):
        torch.testing.assert_close(slope, prediction.grad)


def test_groups_are_streams_of_units_and_single_channels():
    kinds = ("calcium",) * 3 + ("motion",) * 4
    columns = Columns(tuple("123xyzz"), tuple("aabaccc"), kinds)
    assert visibility_groups(columns) == (0, 0, 1, 2, 3, 4, 5)
    slots = replace(columns, channels=tuple("123xyzz"))
    assert visibility_groups(slots) == (0, 0, 1, 2, 3, 4, 4)


def test_masks_hide_what_their_mode_says():
    rng = np.random.default_rng(0)
    kinds = ("spikes",) * 4 + ("motion",) * 2
    columns = Columns(tuple("123xyz"), ("u",) * 4 + ("b", "c"), kinds)
    neural_V = columns.neural
    fold_V, stream_V = np.array([0, 1, 0, 1, -1, -1]), np.array([-1] * 4 + [0, 1])
    region_V = np.array([0, 0, 1, -1, -1, -1])
    together = {"impute": fold_V, "stream": stream_V, "region": region_V}
    modes = tuple(CURRICULUM)
    masks = draw_masks(rng, modes, WINDOW, 2, columns, together)
    seen = dict(zip(modes, masks.visible_BLV, strict=True))
    assert not seen["decode"][:, ~neural_V].any()
    assert seen["decode"][:, neural_V].all()
    assert not seen["encode"][:, neural_V].any()
    assert seen["encode"][:, ~neural_V].all()
    for mode, group_V in together.items():
        group = masks.group_B[modes.index(mode)]
        assert (seen[mode] == (group_V != group)).all()
    known = masks.known_B[modes.index("forecast")]
    assert seen["forecast"][:known].all()
    assert not seen["forecast"][known:].any()
    assert not seen["generate"].any()
    assert 0 < seen["patches"].mean() < 1
    assert (thin_columns(rng, masks, columns.first) <= masks.visible_BLV).all()


def test_slots_of_a_channel_are_hidden_together():
    rng = np.random.default_rng(0)
    columns = Columns(tuple("abcd"), ("eye",) * 4, ("eye",) * 4, channels=tuple("aaad"))
    together = dict.fromkeys(TOGETHER, np.full(4, -1))
    masks = draw_masks(rng, ("patches",) * 40, WINDOW, 2, columns, together)
    for seen_BLV in (masks.visible_BLV, thin_columns(rng, masks, columns.first)):
        assert (seen_BLV[..., :3] == seen_BLV[..., :1]).all()
        assert (seen_BLV[..., 3] != seen_BLV[..., 0]).any()


def test_modes_that_a_session_cannot_have_are_never_drawn():
    rng = np.random.default_rng(0)
    only_behaviour, none = np.zeros(3, bool), dict.fromkeys(TOGETHER, np.full(3, -1))
    assert possible_modes(only_behaviour, none) == ["patches", "forecast", "generate"]
    drawn = draw_modes(rng, 0.5, only_behaviour, none, 200)
    assert set(drawn) <= {"patches", "forecast", "generate"}
