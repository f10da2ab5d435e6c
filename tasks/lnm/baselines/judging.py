"""Which baseline is the bar of each target, and what its skip is made of: chosen on validation."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tasks.lnm.baselines.blending import Offer, Weights, choose_blend, join_blends
from tasks.lnm.data.locations import Functional, location_to_values
from tasks.lnm.data.recording import Columns, Floats, Ints, Recording, Scaler
from tasks.lnm.data.runs import find_runs
from tasks.lnm.linear.skip import shift_back
from tasks.lnm.scores.scoring import Metric, functional_of, metrics_of, score_alone

MOST_CROSSED = 8000
"""Training rows that the skip is chosen by."""

ADDED = ("kernel",)
"""What a skip may be made of though it is no bar, unless the settings ask for that too. No skip
begins with it: hundreds of features flatter themselves on one validation part, so where they help
has to be sure in training too."""

INHERITED = "shared"
"""What other sessions taught (shared.py). One blend begins with it, another goes without, as if
from scratch; the skip is the mixture of both that costs least. Begun with whichever did better on
a short validation part, the skip of a new session often stayed with the worse one."""

Bar = tuple[str, str, int, Metric]
"""Task, target, horizon (-1 if none), metric."""

Located = dict[tuple[Functional, str], Floats]
"""By functional and baseline: (row, judged column) locations or medians, NaN where not asked."""


@dataclass
class Answers:
    """What was answered to one question.

    held_out : by every baseline, to validation rows
    offered, crossed : by what the skip may be made of, to validation rows, and to training rows
        each by the fit without its fold
    """

    held_out: Located = field(default_factory=dict)
    offered: Located = field(default_factory=dict)
    crossed: Located = field(default_factory=dict)


@dataclass(frozen=True)
class Judge:
    """Compares answers on the validation part, by the metrics of the verdicts.

    recording, scaler : of the judged columns
    """

    recording: Recording
    part_T: Ints
    scaler: Scaler
    window: int

    @property
    def crossed_rows(self) -> Ints:
        """Training rows, thinned evenly, that the skip is chosen by beside validation."""
        rows = np.flatnonzero(self.part_T == 0)
        return rows[:: self._stride(rows)]

    def _stride(self, rows: Ints) -> int:
        return max(1, -(-len(rows) // MOST_CROSSED))

    def compare(
        self, task: str, horizon: int, answers: Answers
    ) -> tuple[dict[Bar, str], dict[Functional, dict[str, Weights]]]:
        """Return the best method for each target and metric, and each target's skip."""
        columns, values_TV = self.recording.columns, self.recording.values_TV
        if horizon > 0:
            runs = find_runs(self.recording.segment_T, self.part_T)
            values_TV = shift_back(values_TV, runs, horizon)
        best: dict[Bar, str] = {}
        chosen: dict[Functional, dict[str, Weights]] = {"mean": {}, "median": {}}
        for target, own in _asked_targets(columns, answers.held_out):
            for metric in metrics_of(bool(columns.counts[own[0]]), horizon):
                # A unit goes on from its own past, which is none of what is added.
                left_out = ADDED if horizon > 0 and columns.neural[own[0]] else ()
                name, weights = self._choose(metric, values_TV[:, own], own, answers, left_out)
                best[task, target, horizon, metric] = name
                chosen[functional_of(metric)].setdefault(target, weights)
        return best, chosen

    def _choose(
        self, metric: Metric, real_TV: Floats, own: Ints, answers: Answers, left_out: Sequence[str]
    ) -> tuple[str, Weights]:
        """Return the bar of one target and what its skip is made of, which some may not be."""
        counts, scaler = bool(self.recording.columns.counts[own[0]]), self.scaler.take(own)
        functional, held_out = functional_of(metric), np.flatnonzero(self.part_T == 1)

        def score(located: Located) -> dict[str, float]:
            named = {
                method: _answers_to_values(answer, functional, scaler, counts)
                for method, answer in _take(located, functional, own).items()
            }
            return score_alone(metric, real_TV[held_out], named, scaler.sd_V)

        scores = score(answers.held_out)
        offered = _take(answers.offered, functional, own)
        crossed = _take(answers.crossed, functional, own)
        joined = {
            name: np.concatenate([answer, offered[name]])
            for name, answer in crossed.items()
            if name not in left_out
        }
        rows = np.r_[self.crossed_rows, held_out]
        block = max(1, self.window // self._stride(np.flatnonzero(self.part_T == 0)))
        offer = Offer(metric, real_TV[rows], joined, scaler, counts, block)
        begun = {n: s for n, s in score(answers.offered).items() if n not in ADDED}
        own_names = [name for name in joined if name != INHERITED]
        weights = choose_blend(offer, begun, own_names)
        if INHERITED in joined:
            inherited = choose_blend(offer, {INHERITED: 0.0}, list(joined))
            weights = join_blends(offer, weights, inherited)
        # Nothing to tell by: ridge, which chose each output's penalty, mean included.
        return (max(scores, key=lambda m: scores[m]) if scores else "ridge"), weights


def _take(located: Located, functional: Functional, own: Ints) -> dict[str, Floats]:
    """Return the answers to some columns of each baseline that has any."""
    found = {n: answer[:, own] for (kind, n), answer in located.items() if kind == functional}
    return {name: answer for name, answer in found.items() if np.isfinite(answer).any()}


def _asked_targets(columns: Columns, located: Located) -> list[tuple[str, Ints]]:
    """Return each target that is answered, and its columns."""
    targets = np.array(columns.targets)
    asked_V = np.isfinite(next(iter(located.values()))).any(0)
    names = dict.fromkeys(targets[asked_V].tolist())
    return [(str(name), np.flatnonzero((targets == name) & asked_V)) for name in names]


def _answers_to_values(
    answer: Floats, functional: Functional, scaler: Scaler, counts: bool
) -> Floats:
    """Turn locations, or medians, into the columns' own units."""
    counts_V = np.full(len(scaler.mean_V), counts and functional == "mean")
    return location_to_values(answer, scaler, counts_V)
