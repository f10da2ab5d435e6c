"""Random libraries: which rows each of many smaller libraries is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.vectors import compiled

AT_ONCE = 64
"""Libraries that are divided among at once: the bits of a word."""


@dataclass(frozen=True)
class LibraryDraws:
    """Random libraries: how many members each has, and where their random numbers come from.

    The draws of library i take theirs in turn from a stream of its own, SeedSequence(seed,
    spawn_key=(first + i,)): independent between draws, sizes and libraries (pyEDM 2.5 shares
    one), and the same however libraries are divided into blocks, or into problems of which
    `first` says where each begins.
    """

    sizes: Sequence[int]
    seed: int
    first: int = 0

    def words(
        self, library: int, candidates_L: NDArray[np.integer], length: int
    ) -> NDArray[np.uint64]:
        """Return of which libraries each of `length` rows is a member: (word, row).

        Bit b of word w stands for library 64 w + b: 0 is all candidates, d is draw d - 1, which
        takes so many of them at random, none twice.
        """
        word_WP = np.zeros((-(-(1 + len(self.sizes)) // AT_ONCE), length), np.uint64)
        word_WP[0, candidates_L] = 1
        if self.sizes:
            stream = np.random.SeedSequence(self.seed, spawn_key=(self.first + library,))
            size_D = np.minimum(np.array(self.sizes), len(candidates_L))
            _deal(np.random.default_rng(stream), size_D, candidates_L.astype(np.int32), word_WP)
        return word_WP

    def members(
        self, library: int, draw: int, candidates_L: NDArray[np.integer]
    ) -> NDArray[np.integer]:
        """Return the members that this draw takes of the candidates, in their order."""
        word, bit = divmod(draw + 1, AT_ONCE)
        word_P = self.words(library, candidates_L, int(candidates_L.max(initial=-1)) + 1)[word]
        taken_L: NDArray[np.bool_] = word_P[candidates_L] & np.uint64(1 << bit) > 0
        return candidates_L[taken_L]


NO_DRAWS = LibraryDraws((), 0)


@compiled
def _deal(rng, size_D, candidates_L, word_WP):  # type: ignore[no-untyped-def]
    """Shuffle the first of the candidates for each draw, and set its bit in their words."""
    order_L = np.empty_like(candidates_L)
    for d in range(len(size_D)):
        order_L[:] = candidates_L
        word_P, bit = word_WP[(d + 1) // AT_ONCE], np.uint64(1) << np.uint64((d + 1) % AT_ONCE)
        for i in range(size_D[d]):
            # Uniform to 2^-53; integers() takes four times as long.
            j = i + int(rng.random() * (len(order_L) - i))
            word_P[order_L[j]] |= bit
            order_L[j] = order_L[i]
