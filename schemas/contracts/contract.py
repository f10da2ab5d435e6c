"""Dataset contracts: dims, dtypes, units and attrs, checked all at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from schemas.errors import ContractError


@dataclass(frozen=True)
class Variable:
    """What one variable must look like.

    dims : the exact dimension names, in order; several tuples where layouts may differ
    dtype : numpy kind letters allowed, e.g. "f", "iu", "b", "UOT" (text)
    units : whether a `units` attribute is required
    optional : whether the variable may be absent
    """

    dims: tuple[str, ...] | tuple[tuple[str, ...], ...]
    dtype: str = "f"
    units: bool = False
    optional: bool = False

    def layouts(self) -> tuple[tuple[str, ...], ...]:
        """Return the allowed dimension tuples."""
        one = tuple(dim for dim in self.dims if isinstance(dim, str))
        several = tuple(dims for dims in self.dims if isinstance(dims, tuple))
        return several or (one,)


TEXT = "UOT"
"""numpy kinds that hold text: fixed width, object, and variable-width strings."""


@dataclass(frozen=True)
class DatasetContract:
    """What one group of a tree must hold; more is allowed, less is not."""

    name: str
    variables: Mapping[str, Variable] = field(default_factory=dict)
    coords: Mapping[str, Variable] = field(default_factory=dict)
    attrs: tuple[str, ...] = ()

    def violations(self, dataset: xr.Dataset, where: str = "/") -> Iterator[str]:
        """Yield every way in which `dataset` breaks this contract."""
        for name, spec in self.variables.items():
            yield from _variable_violations(f"{where}:{name}", dataset.data_vars.get(name), spec)
        for name, spec in self.coords.items():
            yield from _variable_violations(f"{where}:{name}", dataset.coords.get(name), spec)
        for name in self.attrs:
            if name not in dataset.attrs:
                yield f"{where}: attribute '{name}' is missing"


@dataclass(frozen=True)
class TreeContract:
    """What an artifact's DataTree must hold.

    groups : contract of each named group that must (or, if listed in `optional`, may) be there
    by_kind : contract of every other group, chosen by its `stream_kind` attribute
    """

    kind: str
    root_attrs: tuple[str, ...] = ()
    groups: Mapping[str, DatasetContract] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    by_kind: Mapping[str, DatasetContract] = field(default_factory=dict)

    def violations(self, tree: xr.DataTree) -> Iterator[str]:
        """Yield every way in which `tree` breaks this contract."""
        for name in self.root_attrs:
            if name not in tree.attrs:
                yield f"/: attribute '{name}' is missing"
        for name in self.groups:
            if name not in tree.children and name not in self.optional:
                yield f"/{name}: the group is missing"
        for name, node in tree.children.items():
            yield from self._group_violations(name, node.to_dataset(inherit=False))

    def _group_violations(self, name: str, dataset: xr.Dataset) -> Iterator[str]:
        if name in self.groups:
            yield from self.groups[name].violations(dataset, f"/{name}")
        elif self.by_kind:
            kind = str(dataset.attrs.get("stream_kind", ""))
            if kind not in self.by_kind:
                yield f"/{name}: attribute 'stream_kind' is {kind!r}, not one of {[*self.by_kind]}"
            else:
                yield from self.by_kind[kind].violations(dataset, f"/{name}")

    def check(self, tree: xr.DataTree) -> None:
        """Raise ContractError with every violation, if there is one."""
        if found := list(self.violations(tree)):
            raise ContractError(self.kind, found)


def _variable_violations(where: str, array: xr.DataArray | None, spec: Variable) -> Iterator[str]:
    if array is None:
        if not spec.optional:
            yield f"{where}: missing"
        return
    if array.dims not in spec.layouts():
        allowed = " or ".join(str(layout) for layout in spec.layouts())
        yield f"{where}: dims are {array.dims}, not {allowed}"
    # Integers with a scale are floats to whoever opens them.
    kind = "f" if "scale_factor" in array.attrs else np.dtype(array.dtype).kind
    if kind not in spec.dtype:
        yield f"{where}: dtype is {array.dtype}, not one of kind '{spec.dtype}'"
    if spec.units and not array.attrs.get("units"):
        yield f"{where}: attribute 'units' is missing"
