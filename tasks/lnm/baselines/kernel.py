"""Kernel ridge on behaviour: what is bent in how channels go together, or how they go on."""

from tasks.lnm.baselines.plain import Fitted, make_affine
from tasks.lnm.linear.problems import Problem
from tasks.lnm.linear.skip import anchor_ridge


def fit_kernel(problem: Problem) -> Fitted | None:
    """Answer by ridge on random features of the behaviour that is seen, in closed form.

    A whisker moves the picture where the head is; a fly turns to either side at speed: products and
    bends that no linear map holds. None where no behaviour is seen, or too many channels (see
    `Seen.lifted`), and where outputs are too many to have a map each.
    """
    seen = problem.seen
    if problem.wide is not None or seen.lifted is None:
        return None
    lift, lifted_TF = seen.lifted
    asked = (problem.last_TO, problem.target_TO, seen.fold_T, problem.validation)
    maps, anchor_O = anchor_ridge(lifted_TF, *asked)
    return make_affine(problem, maps, anchor_O, lift=lift)
