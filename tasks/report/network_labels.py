"""Which nodes of a picture have their names, and where: only where no name covers anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import unescape

import numpy as np
from numpy.typing import NDArray

CHARACTER, LINE = 0.6, 1.15
"""Width of a character and height of a line, as parts of the font's size: a wide font's."""
SIDES = (
    "top center", "bottom center", "middle right", "middle left",
    "top right", "top left", "bottom right", "bottom left",
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Label:
    """A name that a node may have: `reach` is from the node's centre to the text, in pixels."""

    node: str
    text: str
    font: int
    reach: float

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, rather too large than too small."""
        return CHARACTER * self.font * len(unescape(self.text)) + 4, LINE * self.font + 2


def place_labels(
    labels: Iterable[Label],
    places: Mapping[str, tuple[float, float]],
    radii: Mapping[str, float],
    segments_S4: Floats,
    width: float,
    height: float,
) -> dict[str, str]:
    """Return on which side each label stands, in plotly's words; those without room are left out.

    The first come first: a label covers no node, no earlier label, and nothing beyond the picture.
    Of the sides left it takes the one that fewest edges cross.

    Parameters
    ----------
    labels : in order of importance
    places, radii : of all nodes, in pixels, y upwards
    segments_S4 : edges, from (x, y) to (x, y)
    width, height : of the picture, in pixels
    """
    centre_N2 = np.array([places[name] for name in places]).reshape(-1, 2)
    radius_N1 = np.array([[radii[name]] for name in places]).reshape(-1, 1)
    taken_B4 = np.hstack([centre_N2 - radius_N1, centre_N2 + radius_N1])
    sides: dict[str, str] = {}
    for label in labels:
        best: tuple[int, str, Floats] | None = None
        for side in SIDES:
            box = box_of(label, side, places[label.node])
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
            if not inside or overlaps(box, taken_B4).any():
                continue
            crossed = int(crosses(box, segments_S4).sum())
            if best is None or crossed < best[0]:
                best = crossed, side, box
        if best is not None:
            sides[label.node] = best[1]
            taken_B4 = np.vstack([taken_B4, best[2]])
    return sides


def box_of(label: Label, side: str, place: Sequence[float]) -> Floats:
    """Return what a label covers: left, bottom, right, top."""
    width, height = label.size
    vertical, horizontal = side.split()
    left = {"left": -label.reach - width, "center": -width / 2, "right": label.reach}[horizontal]
    bottom = {"bottom": -label.reach - height, "middle": -height / 2, "top": label.reach}[vertical]
    x, y = place
    return np.array([x + left, y + bottom, x + left + width, y + bottom + height])


def overlaps(box: Floats, boxes_B4: Floats) -> NDArray[np.bool_]:
    """Return (box,) which boxes share a point with this one."""
    apart_B2 = (boxes_B4[:, 2:] <= box[:2]) | (boxes_B4[:, :2] >= box[2:])
    return ~apart_B2.any(1)


def crosses(box: Floats, segments_S4: Floats) -> NDArray[np.bool_]:
    """Return (segment,) which segments pass through a box (Liang & Barsky 1984)."""
    start_S2, along_S2 = segments_S4[:, :2], segments_S4[:, 2:] - segments_S4[:, :2]
    safe_S2 = np.where(along_S2 == 0, 1e-12, along_S2)
    low_S2, high_S2 = (box[:2] - start_S2) / safe_S2, (box[2:] - start_S2) / safe_S2
    enter_S = np.minimum(low_S2, high_S2).max(1, initial=0)
    leave_S = np.maximum(low_S2, high_S2).min(1, initial=1)
    return np.asarray(enter_S <= leave_S)
