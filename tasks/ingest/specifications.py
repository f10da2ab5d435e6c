"""The specifications in a file as what pynwb reads it by: made once for all files that agree."""

import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache

import pynwb
from hdmf.build import TypeMap
from hdmf.spec import NamespaceCatalog
from pynwb.spec import NWBDatasetSpec, NWBGroupSpec, NWBNamespace

from tasks.ingest.formats import NwbFormat

BUILT_IN = ("hdmf-common", "hdmf-experimental", "core")
KEPT = 8
"""Sets of specifications that are kept; a lab has one or two."""


def type_map_of_file(stored: NwbFormat) -> TypeMap:
    """Return a type map that knows NWB itself and the extensions as the file specifies them.

    A quarter of a second the first time that a process meets such specifications, 0.02 s after.
    """
    digest = stored.specifications_sha256()
    if digest is None:
        return _build(stored)
    type_map, heard = _build_once(_Specifications(digest, stored))
    for warning in heard:
        # Findings must not depend on which files were read before.
        warnings.warn(warning, stacklevel=2)
    # A copy, as pynwb gives of its own: reading adds the classes of a file's types.
    return deepcopy(type_map)


@dataclass(frozen=True)
class _Specifications:
    """Equal where the text of all specifications is."""

    sha256: str
    stored: NwbFormat = field(compare=False)


@lru_cache(KEPT)
def _build_once(found: _Specifications) -> tuple[TypeMap, tuple[Warning, ...]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        type_map = _build(found.stored)
    messages = (warning.message for warning in caught)
    return type_map, tuple(m for m in messages if isinstance(m, Warning))


def _build(stored: NwbFormat) -> TypeMap:
    installed = pynwb.get_type_map()
    catalogue = NamespaceCatalog(NWBGroupSpec, NWBDatasetSpec, NWBNamespace)
    for name in BUILT_IN:
        catalogue.add_namespace(name, installed.namespace_catalog.get_namespace(name))
    type_map = TypeMap(catalogue)
    # The successor that hdmf names, merge, would bring the installed extensions along.
    type_map.copy_mappers(installed)
    stored.load_namespaces(type_map)
    return type_map
