"""Running the network freely from a given past, or from pasts drawn from the library."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from schemas.settings.twin import Rule
from tasks.twin.kernel import free_run
from tasks.twin.library import Floats, Ints, Library

RunOn = Callable[[Floats, int], Floats]

RULE_NUMBERS: dict[Rule, int] = {"value": 0, "step": 1, "linear": 2}


@dataclass(frozen=True)
class Choice:
    """How every node predicts; one candidate of those that the validation part decides among."""

    delay: int
    rule: Rule
    neighbours: int
    theta: float
    noise: float

    def as_dict(self) -> dict[str, int | float | str]:
        """Return the fields for lineage."""
        return asdict(self)


def run_network(
    library: Library, choice: Choice, history_SHN: Floats, steps: int, rng: np.random.Generator
) -> Floats:
    """Run the network `steps` samples on from each history, from its own outputs only.

    Every node predicts its next value from the nearest states of its own library, then adds a
    share of what one neighbour, drawn by weight, did otherwise than the prediction says. All
    nodes step together. A value is held to the range of what followed its neighbours, and a
    margin, so no run explodes.

    Parameters
    ----------
    library : training states, in SDs
    choice : rule, neighbours, weights, noise
    history_SHN : (sample, time, node) the last samples before each run, newest last, in SDs
    steps : samples to generate

    Returns
    -------
    (sample, time, node) in SDs

    References
    ----------
    Sugihara & May 1990 (simplex), Sugihara 1994 (S-map), Lall & Sharma 1996 (resampling of
    neighbours, doi:10.1029/95WR02966)
    """
    samples, depth, nodes = history_SHN.shape
    if depth < library.depth:
        raise ValueError(f"the history has {depth} samples, a state needs {library.depth}")
    neighbours = choice.neighbours * (3 if choice.rule == "linear" else 1)
    result: Floats = free_run(
        library.columns_CL,
        library.now_NL,
        library.next_NL,
        library.first_N1,
        library.coordinates,
        library.node_C,
        library.lag_C,
        np.ascontiguousarray(history_SHN, dtype=np.float64),
        rng.random((samples, steps, nodes)),
        min(neighbours, library.now_NL.shape[1]),
        choice.theta,
        choice.noise,
        library.margin,
        RULE_NUMBERS[choice.rule],
    )
    return result


def histories_at(scaled_TN: Floats, last_S: Ints, depth: int) -> Floats:
    """Cut the `depth` samples up to and with each of `last_S`: (sample, time, node)."""
    cut: Floats = scaled_TN[last_S[:, None] + np.arange(1 - depth, 1)]
    return cut


def animate_stretches(
    scaled_TN: Floats,
    library: Library,
    stretches: list[slice],
    known_T: Ints,
    n_samples: int,
    rng: np.random.Generator,
    run_on: RunOn,
) -> Floats:
    """Generate each stretch of the test part without looking at it: (sample, time, node).

    A stretch that goes on from what came before the test part starts from the last state there.
    One that follows a gap has no past of its own: it starts from a state drawn from the library,
    another for each sample.

    Parameters
    ----------
    stretches : runs of samples to generate, ascending; NaN elsewhere
    known_T : (time,) gapless samples up to each, test samples counting as unknown
    run_on : takes histories (sample, time, node) and steps, returns (sample, time, node)
    """
    made: list[tuple[slice, Floats]] = []
    for stretch in stretches:
        last = stretch.start - 1
        if last >= 0 and known_T[last] >= library.depth:
            last_S = np.full(n_samples, last)
        else:
            last_S = rng.choice(library.rows_L, n_samples)
        history_SHN = histories_at(scaled_TN, last_S, library.depth)
        made.append((stretch, run_on(history_SHN, stretch.stop - stretch.start)))
    generated_STN = np.full((n_samples, len(scaled_TN), made[0][1].shape[-1]), np.nan)
    for stretch, path in made:
        generated_STN[:, stretch] = path
    return generated_STN
