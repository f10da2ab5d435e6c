"""What a stage writes into: a temporary folder that becomes an artifact when it is committed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from schemas.entities import ArtifactRef, QCMetric
from tasks.common.lake import TREE_NAME, Lake

if TYPE_CHECKING:
    import xarray as xr

    from schemas.contracts.contract import TreeContract


class Draft:
    """An artifact being made.

    Attributes
    ----------
    path : folder that becomes the artifact
    lake : the lake, for opening the parents
    key_figure : the one figure that the result table shows, e.g. "412 edges of 6,642 pairs"
    """

    def __init__(self, path: Path, lake: Lake, ref: ArtifactRef) -> None:
        self.path = path
        self.lake = lake
        self.ref = ref
        self.key_figure = ""
        self.metrics: list[QCMetric] = []
        self.facts: dict[str, Any] = {}

    def write_tree(self, tree: "xr.DataTree", contract: "TreeContract") -> None:
        """Check `tree` against `contract` and write it as the artifact's Zarr tree."""
        from tasks.common.zarr_trees import write_tree

        contract.check(tree)
        write_tree(tree, self.path / TREE_NAME)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as readable JSON."""
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
        (self.path / name).write_text(text + "\n", encoding="utf-8")

    def metric(
        self,
        name: str,
        value: float,
        threshold: float | None = None,
        verdict: Literal["pass", "warn", "fail", "info"] = "info",
        note: str = "",
    ) -> None:
        """Record a quality figure of this artifact in the catalogue."""
        # float(): a NumPy scalar is not a number to every database driver.
        bar = None if threshold is None else float(threshold)
        self.metrics.append(
            QCMetric(name=name, value=float(value), threshold=bar, verdict=verdict, note=note)
        )

    def fact(self, name: str, value: Any) -> None:
        """Record something for lineage (a seed, sample ranges, a split).

        Raises
        ------
        TypeError or ValueError
            `value` is not JSON, or holds NaN: found here rather than at the commit.
        """
        try:
            self.facts[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise type(error)(f"fact '{name}' is not JSON: {error}") from error
