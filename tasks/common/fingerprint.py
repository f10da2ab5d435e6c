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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("schemas", "tasks.common")
KEEPERS = frozenset(
    {
        "schemas.errors",
        "schemas.settings.workspace",
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
    if path.suffix != ".py":
        return path.read_bytes()
    readline = io.BytesIO(path.read_bytes()).readline
    tokens = [token for token in tokenize.tokenize(readline) if token.type not in _UNSEEN]
    return "\x1f".join(
        # An indent is kept as a fact, its width is not.
        str(token.type) if token.type in _LAYOUT else token.string
        for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False)
        if not _is_docstring(before, token, after)
    ).encode()


def _is_docstring(
    before: tokenize.TokenInfo | None, token: tokenize.TokenInfo, after: tokenize.TokenInfo | None
) -> bool:
    """Whether a token is a string that is a statement of its own, which does nothing."""
    starts = before is None or before.type in _LINE_STARTS
    ends = after is not None and after.type == tokenize.NEWLINE
    return token.type == tokenize.STRING and starts and ends


def _shared_files(start: set[Path], root: Path) -> set[Path]:
    """Return the files of shared modules that `start` imports, directly or not."""
    found: set[Path] = set()
    waiting = [path for path in start if path.suffix == ".py"]
    while waiting:
        for module in _imported(waiting.pop()):
            for path in _module_files(module, root):
                if path not in found:
                    found.add(path)
                    waiting.append(path)
    return found


def _imported(path: Path) -> Iterator[str]:
    """Yield dotted names of shared modules (or of names in them) that a file imports.

    Keepers and what is in them are left out.
    """
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if _is_in(name, SHARED) and not _is_in(name, KEEPERS))


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
