"""Small cross-map problems that every kernel must get right: ties, NaN, gaps, any rule."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule

RULE = CrossMapRule(tau=2, tp=-1, theiler=4)
rules = st.builds(
    CrossMapRule, tau=st.integers(1, 3), tp=st.integers(-3, 3), theiler=st.integers(0, 5)
)


@st.composite
def problems(draw: st.DrawFn) -> CrossMapProblem:
    """Draw small problems: few values (many ties), NaN, several segments, any rule."""
    length = draw(st.integers(10, 40))
    levels = draw(st.sampled_from([2, 5, 1000]))
    whole = arrays(np.float64, (3, length), elements=st.integers(0, levels).map(float))
    series_NT = draw(whole)
    gaps = draw(arrays(np.bool_, (3, length), elements=st.booleans(), fill=st.just(False)))
    series_NT[gaps & draw(st.booleans())] = np.nan
    steps = draw(arrays(np.bool_, length, elements=st.booleans(), fill=st.just(False)))
    segment_T = np.cumsum(steps)
    if draw(st.booleans()):
        segment_T[draw(st.integers(0, length - 1))] = -1
    dimensions = st.lists(st.integers(1, 4), min_size=3, max_size=3).map(np.array)
    by_target = draw(st.none() | dimensions)
    return CrossMapProblem(
        standardise(series_NT.T).T, standardise(series_NT.T).T, segment_T, draw(dimensions),
        draw(rules), by_target, draw(st.integers(1, 3)),
        draw(st.sampled_from(("float32", "float16"))),
    )  # fmt: skip


def noisy_walks(nodes: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    """Return slow series (node, time) that share something, standardised."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((length, 1)).cumsum(0)
    walks = rng.standard_normal((length, nodes)).cumsum(0) + common
    return standardise(walks - np.linspace(walks[0], walks[-1], length)).T


def mapped(
    series_NT: NDArray[np.float32],
    dimension: int,
    rule: CrossMapRule = RULE,
    libraries: int = 3,
    by_target: NDArray[np.integer] | None = None,
) -> CrossMapProblem:
    """Return the problem of mapping the first few series with all, without gaps."""
    length = series_NT.shape[1]
    return CrossMapProblem(
        series_NT[:libraries], series_NT, np.zeros(length, int), np.full(libraries, dimension),
        rule, by_target,
    )  # fmt: skip
