"""The code fingerprint of a stage: a hash of the source its results depend on.

That is every file of the stage's own package and, transitively, every module of `tasks.common`
and `schemas` that it imports, short of those that keep results and do not make them. Comments,
docstrings, blank lines and layout do not count; so an edited function recomputes the stage that
uses it and what follows from it, and nothing else.

A Dask worker that outlives an edit still runs the old code: restart workers after a change.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("schemas", "tasks.common")
KEEPERS = frozenset(
    {
        "schemas.errors",
        "schemas.settings.workspace",
        "tasks.common.block_order",
        "tasks.common.catalogue",
        "tasks.common.cluster",
        "tasks.common.lake",
        "tasks.common.progress",
        "tasks.common.stage",
        "tasks.common.workspace",
    }
)
"""Where results go, how a run is told and where it computes: no array depends on these modules, nor
on what only they import. A new query of the catalogue must not recompute a lake."""

_CACHES = {".pyc", ".nbi", ".nbc"}
_UNSEEN = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING}
_LINE_STARTS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_LAYOUT = {
    tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


@cache
def code_fingerprint(stage: str, root: Path = ROOT) -> str:
    """Return 32 hexadecimal digits that change when the code behind `stage` changes.

    Cached for the life of the process: the code that runs is the code that was imported.
    """
    package = root / "tasks" / stage
    if not package.is_dir():
        raise ValueError(f"no stage package 'tasks/{stage}'")
    own = {path for path in package.rglob("*") if path.is_file() and _is_source(path)}
    files = own | _shared_files(own, root)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\x1f")
        digest.update(_meaning(path) + b"\x1e")
    return digest.hexdigest()[:32]


def _is_source(path: Path) -> bool:
    # An editor's .swp file, a .DS_Store or a backup must not recompute anything.
    return path.suffix not in _CACHES and not path.name.startswith(".") and path.name[-1] != "~"


def _meaning(path: Path) -> bytes:
    """Return a file's bytes, for Python without comments, docstrings and layout."""
    source = path.read_bytes()
    return _python_meaning(source) if path.suffix == ".py" else source


# By content: many stages share a module, and tokenizing is most of the work.
@cache
def _python_meaning(source: bytes) -> bytes:
    found = tokenize.tokenize(io.BytesIO(source).readline)
    tokens = [token for token in found if token.type not in _UNSEEN]
    kept: list[str] = []
    starts_line, skips_newline = True, False
    for token, after in zip_longest(tokens, tokens[1:]):
        if skips_newline:
            skips_newline = False
        elif starts_line and token.type == tokenize.STRING and after.type == tokenize.NEWLINE:
            # A string that is a statement of its own does nothing.
            skips_newline = True
        else:
            # An indent is kept as a fact, its width is not.
            kept.append(str(token.type) if token.type in _LAYOUT else token.string)
            starts_line = token.type in _LINE_STARTS
    return "\x1f".join(kept).encode()


def _shared_files(start: set[Path], root: Path) -> set[Path]:
    """Return the files of shared modules that `start` imports, directly or not."""
    found: set[Path] = set()
    waiting = [path for path in start if path.suffix == ".py"]
    while waiting:
        for module in _imported(waiting.pop().read_bytes()):
            for path in _module_files(module, root):
                if path not in found:
                    found.add(path)
                    waiting.append(path)
    return found


@cache
def _imported(source: bytes) -> tuple[str, ...]:
    """Return dotted names of shared modules (or of names in them) that a source imports.

    Keepers and what is in them are left out.
    """
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if _is_in(name, SHARED) and not _is_in(name, KEEPERS))


def _is_in(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def _module_files(name: str, root: Path) -> Iterator[Path]:
    """Yield the file of a module and those of the packages around it; none for a plain name."""
    parts = name.split(".")
    target = root.joinpath(*parts)
    if target.with_suffix(".py").is_file():
        yield target.with_suffix(".py")
    elif not (target / "__init__.py").is_file():
        return
    for depth in range(1, len(parts) + 1):
        init = root.joinpath(*parts[:depth], "__init__.py")
        if init.is_file():
            yield init
