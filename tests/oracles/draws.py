"""Random libraries as other packages draw them."""

import numpy as np
from numpy.typing import NDArray

from tasks.causal.draws import AT_ONCE, LibraryDraws


class MemberDraws(LibraryDraws):
    """Libraries told by their members: a subclass says who they are."""

    def words(
        self, library: int, candidates_L: NDArray[np.integer], length: int
    ) -> NDArray[np.uint64]:
        """Return of which libraries each row is a member."""
        word_WP = np.zeros((-(-(1 + len(self.sizes)) // AT_ONCE), length), np.uint64)
        word_WP[0, candidates_L] = 1
        for draw in range(len(self.sizes)):
            word, bit = divmod(draw + 1, AT_ONCE)
            word_WP[word, self.members(library, draw, candidates_L)] |= np.uint64(1 << bit)
        return word_WP
