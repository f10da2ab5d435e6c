"""Kernel ridge on behaviour: what is bent in how channels go together, or how they go on."""

import numpy as np

from tasks.lnm.baselines.plain import Fitted, make_affine
from tasks.lnm.linear.lift import Lift
from tasks.lnm.linear.problems import Problem
from tasks.lnm.linear.skip import anchor_ridge

MOST_CHANNELS = 64


def fit_kernel(problem: Problem) -> Fitted | None:
    """Answer by ridge on random features of the behaviour that is seen, in closed form.

    A whisker moves the picture where the head is; a fly turns to either side at speed: products and
    bends that no linear map holds. The coordinates of each channel are its value and its slope (of
    a forecast its value and its latest mean). None where no behaviour is seen, or too many
    channels, and where outputs are too many to have a map each.
    """
    seen = problem.seen
    channels = seen.behaviour
    if problem.wide is not None or not 0 < len(channels) <= MOST_CHANNELS:
        return None
    inputs = seen.z_TI.shape[1]
    second = seen.features_TF.shape[1] - seen.slopes if seen.slopes else inputs
    rng = np.random.default_rng(seen.seed)
    at_C = np.concatenate([channels, second + channels])
    lift = Lift.draw(seen.features_TF[problem.train], at_C, rng)
    asked = (problem.last_TO, problem.target_TO, seen.fold_T, problem.validation)
    lifted_TF = lift.apply(seen.features_TF).astype(np.float32)
    maps, anchor_O = anchor_ridge(lifted_TF, *asked)
    return make_affine(problem, maps, anchor_O, lift=lift)
