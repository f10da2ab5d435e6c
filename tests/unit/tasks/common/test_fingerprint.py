"""An edited function changes the stage that uses it, and nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.common.fingerprint import KEEPERS, ROOT, SHARED, code_fingerprint

MINI = {
    "schemas/__init__.py": '"""What things are."""\n',
    "schemas/entities.py": "NAME = 'entity'\n",
    "schemas/settings/__init__.py": "",
    "schemas/settings/align.py": "from schemas.entities import NAME\nRATE = 10\n",
    "schemas/settings/twin.py": "SIZE = 3\n",
    "schemas/settings/workspace.py": "LAKE = 'lake'\n",
    "tasks/__init__.py": "",
    "tasks/common/__init__.py": "",
    "tasks/common/matrices.py": "def stack(a):\n    # why\n    return a + 1\n",
    "tasks/common/splits.py": "def split(a):\n    return a\n",
    "tasks/common/catalogue.py": "def query():\n    return 1\n",
    "tasks/common/stage.py": "from tasks.common.catalogue import query\n",
    "tasks/align/__init__.py": "",
    "tasks/align/resample.py": "def resample(a):\n    '''Resample.'''\n    return a * 2\n",
    "tasks/align/task.py": "from tasks.common.stage import run\n"
    "from schemas.settings.align import RATE\nfrom tasks.align.resample import resample\n",
    "tasks/twin/__init__.py": "",
    "tasks/twin/page.html": "<p>twin</p>\n",
    "tasks/twin/task.py": "from tasks.common.stage import run\nfrom tasks.common import matrices\n"
    "import schemas.settings.twin\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a source tree of two stages."""
    for name, text in MINI.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def fingerprints(root: Path, *stages: str) -> dict[str, str]:
    """Compute fingerprints anew, as another process would."""
    code_fingerprint.cache_clear()
    return {stage: code_fingerprint(stage, root) for stage in stages}


def changed(root: Path, edit: Callable[[], object], *stages: str) -> set[str]:
    """Return the stages whose fingerprint an edit changes."""
    before = fingerprints(root, *stages)
    edit()
    after = fingerprints(root, *stages)
    return {stage for stage in stages if before[stage] != after[stage]}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("tasks/align/resample.py", "def resample(a):\n    return a * 3\n", {"align"}),
        ("tasks/align/new.py", "X = 1\n", {"align"}),
        ("tasks/twin/page.html", "<p>other</p>\n", {"twin"}),
        ("tasks/common/matrices.py", "def stack(a):\n    return a + 2\n", {"twin"}),
        ("schemas/settings/align.py", "RATE = 11\n", {"align"}),
        ("schemas/settings/twin.py", "SIZE = 4\n", {"twin"}),
        ("schemas/entities.py", "NAME = 'other'\n", {"align"}),
        ("schemas/__init__.py", "import sys\n", {"align", "twin"}),
        ("tasks/common/splits.py", "def split(a):\n    return -a\n", set()),
        ("tasks/common/catalogue.py", "def query():\n    return 2\n", set()),
        ("tasks/common/stage.py", "X = 1\n", set()),
        ("schemas/settings/workspace.py", "LAKE = 'other'\n", set()),
        ("tasks/align/.resample.py.swp", "x", set()),
        ("tasks/align/resample.py~", "x", set()),
        ("tasks/align/__pycache__/resample.cpython-312.pyc", "x", set()),
    ],
)
def test_an_edit_reaches_the_stages_that_use_it(
    tree: Path, name: str, text: str, expected: set[str]
) -> None:
    def edit() -> None:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)

    assert changed(tree, edit, "align", "twin") == expected


@pytest.mark.parametrize(
    "text",
    [
        "def resample(a):\n    # a comment\n    return a * 2\n",
        "def resample(a):\n    '''Another text.'''\n    return a * 2\n",
        "def resample(a):\n\n        return a  *  2\n",
        '"""A module."""\n\n\ndef resample(a):\n  return a * 2  # tail\n',
    ],
)
def test_comments_docstrings_and_layout_do_not_count(tree: Path, text: str) -> None:
    edit = (tree / "tasks/align/resample.py").write_text
    assert changed(tree, lambda: edit(text), "align") == set()


def test_what_looks_like_a_docstring_but_does_something_counts(tree: Path) -> None:
    path = tree / "tasks/align/resample.py"
    path.write_text("def name():\n    return 'a'\n")
    assert changed(tree, lambda: path.write_text("def name():\n    return 'b'\n"), "align")
    path.write_text("def f(a):\n    if a:\n        a = 1\n    a = 2\n")
    dedent = "def f(a):\n    if a:\n        a = 1\n        a = 2\n"
    assert changed(tree, lambda: path.write_text(dedent), "align")


def test_a_stage_that_does_not_exist_is_refused(tree: Path) -> None:
    with pytest.raises(ValueError, match="no stage package"):
        code_fingerprint("nothing", tree)


@pytest.fixture(scope="module")
def copy_of_the_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the real stages."""
    root = tmp_path_factory.mktemp("code")
    for package in ("schemas", "tasks"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("*.pyc"))
    return root


def real_stages() -> list[str]:
    """Return the stages that there are."""
    return sorted(
        path.parent.name
        for path in (ROOT / "tasks").glob("*/__init__.py")
        if path.parent.name != "common" and len(list(path.parent.glob("*.py"))) > 1
    )


@pytest.mark.parametrize("stage", real_stages())
def test_editing_a_function_of_a_real_stage_changes_that_stage_only(
    copy_of_the_code: Path, stage: str
) -> None:
    module = max(
        (copy_of_the_code / "tasks" / stage).glob("*.py"), key=lambda path: path.stat().st_size
    )
    with module.open("a") as handle:
        edit = lambda: (handle.write("\n\ndef added() -> int:\n    return 1\n"), handle.flush())  # noqa: E731
        assert changed(copy_of_the_code, edit, *real_stages()) == {stage}


def test_editing_what_keeps_results_changes_no_real_stage(copy_of_the_code: Path) -> None:
    def edit() -> None:
        for name in [*KEEPERS, "tasks.common.database", "tasks.common.doctor"]:
            path = copy_of_the_code.joinpath(*name.split(".")).with_suffix(".py")
            path.write_text(path.read_text() + "\n\nADDED = 1\n")

    assert changed(copy_of_the_code, edit, *real_stages()) == set()


def test_what_is_named_as_shared_or_kept_exists() -> None:
    for name in (*SHARED, *KEEPERS):
        path = ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
