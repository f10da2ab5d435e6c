"""Names as plain as `tasks` could be anybody's: these are this repository's."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", ["flows", "schemas", "tasks"])
def test_package_is_the_one_of_this_repository(package: str) -> None:
    origin = importlib.import_module(package).__spec__.origin
    assert Path(origin).resolve() == ROOT / package / "__init__.py"


def test_init_files_import_nothing() -> None:
    """A stage's fingerprint follows imports; a re-export would tie it to unrelated code."""
    inits = [p for top in ("flows", "schemas", "tasks") for p in (ROOT / top).rglob("__init__.py")]
    assert inits
    guilty = [
        str(path)
        for path in inits
        if any(
            isinstance(node, ast.Import | ast.ImportFrom)
            for node in ast.walk(ast.parse(path.read_bytes()))
        )
    ]
    assert guilty == []
