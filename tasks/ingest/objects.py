"""What a reader is given and what it gives back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import xarray as xr

from schemas.entities import Finding, Severity, StreamKind
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.ingest.damage import damage_told, unreadable
from tasks.ingest.lazy import FileArrays, LazyArray

type Container = Any
"""An object of pynwb, which has no types."""


@dataclass(frozen=True)
class NwbObject:
    """An object of an NWB file with its place in it.

    Attributes
    ----------
    path : place in the file, e.g. "processing/behavior/Position/head"
    container : the pynwb object
    parent : the object that holds it; None for the file itself
    """

    path: str
    container: Container
    parent: "NwbObject | None" = None

    @property
    def name(self) -> str:
        """The object's own name."""
        return str(self.container.name)

    @property
    def type_name(self) -> str:
        """The object's neurodata type."""
        return type(self.container).__name__

    @cached_property
    def type_names(self) -> frozenset[str]:
        """The object's neurodata type and all it descends from."""
        return frozenset(base.__name__ for base in type(self.container).__mro__)

    def is_a(self, *types: str) -> bool:
        """Tell whether the object is of one of these neurodata types, or descends from one.

        By name, not by class: an extension's class is made anew for each file from the
        specification that the file carries.
        """
        return not self.type_names.isdisjoint(types)

    def field(self, name: str) -> Any:
        """Return a field of the object, None where it has no such field or nothing in it."""
        return getattr(self.container, name, None)

    def text(self, name: str) -> str:
        """Return a text field, "" where it is absent."""
        value = self.field(name)
        return "" if value is None else str(value).strip()

    def children(self) -> list["NwbObject"]:
        """Return the objects that this one holds, sorted by path."""
        found = (self._child(child) for child in self.container.children)
        return sorted(found, key=lambda child: child.path)

    def _child(self, child: Container) -> "NwbObject":
        return NwbObject(stored_path(child) or f"{self.path}/{child.name}".lstrip("/"), child, self)


@dataclass(frozen=True)
class Stream:
    """A stream as a reader yields it, before streams of one name are told apart.

    name : the name wanted
    fallback : the name of what holds it, put in front where two streams want one name
    """

    name: str
    fallback: str
    dataset: xr.Dataset


@dataclass(frozen=True)
class AssumedEqual:
    """Two time axes that were taken for one after a look at three samples of each."""

    where: str
    one: LazyArray
    other: LazyArray


@dataclass
class ReadContext:
    """What all readers share while one file is read, and where they put what they notice.

    raw : whether to show also what no later stage works on, and the lake does not take: imaging
        movies, stimulus images, waveforms of single spikes
    """

    settings: IngestSettings
    arrays: FileArrays
    folder: Path | None = None
    raw: bool = False
    findings: list[Finding] = field(default_factory=list)
    assumed_equal: list["AssumedEqual"] = field(default_factory=list)

    def note(
        self,
        code: str,
        severity: Severity,
        what: str,
        where: str,
        remedy: str = "",
        *,
        sample: int | None = None,
        value: str = "",
        repair: str = "",
    ) -> None:
        """Record a finding."""
        self.findings.append(
            Finding(
                code=code,
                severity=severity,
                what=what,
                where=where,
                remedy=remedy,
                sample=sample,
                value=value,
                repair=repair,
            )
        )

    @contextmanager
    def sparing(self, where: str) -> Iterator[None]:
        """Go on, with a finding, where a column is damaged that its stream can do without."""
        try:
            with damage_told(where):
                yield
        except RecordingError as error:
            self.findings.append(unreadable("column", error))

    def kind_set_for(self, path: str) -> StreamKind | None:
        """Return the kind that the settings give an object, if they do."""
        return first_match(self.settings.kinds, path)


class StreamReader(Protocol):
    """Reads one family of NWB objects."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Tell whether this reader reads the object, with all that it holds."""

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield the object's streams without reading samples; note what is odd about them."""


def first_match[T](patterns: dict[str, T], path: str) -> T | None:
    """Return the value of the first glob that a path fits."""
    return next((v for pattern, v in patterns.items() if fnmatchcase(path, pattern)), None)


def stored_path(container: Container) -> str:
    """Return where in its file a container is; "" if it was not read from one."""
    io = container.get_read_io()
    builder = io.manager.get_builder(container) if io is not None else None
    return str(builder.path).removeprefix("root/") if builder is not None else ""
