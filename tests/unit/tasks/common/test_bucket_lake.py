"""A lake in an object store (moto's S3) keeps every promise of a lake on a disk."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import s3fs
import xarray as xr

from schemas.contracts.contract import TreeContract
from schemas.errors import LakeError, NotFoundError
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings, local_side
from tasks.common.bucket import Bucket
from tasks.common.doctor import examine, repair_problems
from tasks.common.lake import RECORD_NAME
from tasks.common.workspace import Request, Workspace

ANYTHING = TreeContract("anything")
CHILD = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_bucket_lake import make
from schemas.settings.workspace import WorkspaceSettings
from tasks.common import workspace
from tasks.common.bucket import Bucket

point, seen = sys.argv[3], [0]
def die(): os.kill(os.getpid(), signal.SIGKILL)
plain = Bucket.put
def put(self, source, name):
    seen[0] += 1
    if seen[0] == 4 and point == "midway": die()
    if name.endswith("artifact.json") and point == "record": die()
    plain(self, source, name)
Bucket.put = put
if point == "first": Bucket.put = lambda *_: die()
if point == "row": workspace.insert_row = lambda *_: die()
make(workspace.Workspace(WorkspaceSettings(lake=sys.argv[2])), point)
"""


class NameSettings(StageSettings):
    name: str = ""


@pytest.fixture
def lake_url(s3_bucket, tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    return f"{s3_bucket}/lab/lake"


@pytest.fixture
def space(lake_url) -> Workspace:
    return Workspace(WorkspaceSettings(lake=lake_url))


def request_of(name) -> Request:
    return Request("aligned", "align", NameSettings(name=name))


def make(space, name):
    def build(draft):
        numbers = xr.Dataset({"value": (("time", "unit"), np.arange(120.0).reshape(40, 3))})
        draft.write_tree(xr.DataTree.from_dict({"/a": numbers}), ANYTHING)
        draft.write_json("name.json", {"name": name})

    return space.produce(request_of(name), build)


def keys(lake_url) -> set[str]:
    root = lake_url.removeprefix("s3://")
    found = s3fs.S3FileSystem(use_listings_cache=False).find(root)
    return {path[len(root) + 1 :] for path in found}


def assert_good(space, ref, name):
    assert space.lake.read_json(ref, "name.json") == {"name": name}
    tree = space.lake.open_tree(ref)
    np.testing.assert_array_equal(tree["a/value"], np.arange(120.0).reshape(40, 3))
    assert examine(space, rehash=True) == []


def test_an_artifact_is_made_once_and_read_lazily(space, lake_url, tmp_path):
    product = make(space, "one")
    assert_good(space, product.artifact.ref, "one")
    assert make(space, "one").reused
    assert not list(space.lake.tmp.iterdir())
    assert space.lake.root == local_side(lake_url)
    assert (space.lake.root / "catalogue.sqlite").is_file()
    name = f"tectum:{product.artifact.ref.id}"
    with xr.open_datatree(name, engine="tectum", lake=lake_url) as tree:
        assert not tree["a/value"].variable._in_memory
        assert float(tree["a/value"][1, 2]) == 5.0
    copy = space.lake.local_folder(product.artifact.ref)
    assert (copy / "name.json").is_file()
    with pytest.raises(NotFoundError):
        space.lake.read_json(product.artifact.ref, "absent.json")


def test_a_lost_catalogue_is_written_again_from_the_bucket(space, lake_url, tmp_path):
    made = make(space, "one").artifact
    settings = WorkspaceSettings(lake=lake_url, catalogue=f"sqlite:///{tmp_path}/new.sqlite")
    again = Workspace(settings)
    assert [problem.code for problem in examine(again)] == ["unlisted"]
    assert make(again, "one").reused, "adopted"
    assert again.catalogue.find(made.ref.id) == made


def test_the_doctor_finds_and_sets_aside_damage(space, lake_url):
    good, bad = make(space, "good").artifact.ref, make(space, "bad").artifact.ref
    s3 = s3fs.S3FileSystem(use_listings_cache=False)
    folder = f"{lake_url}/artifacts/aligned/{bad.id}"
    s3.pipe_file(f"{folder}/name.json", b'{"name": "odd"}')
    problems = examine(space, rehash=True)
    assert [(p.code, p.artifact_id) for p in problems] == [("damaged", bad.id)]
    assert repair_problems(space, problems) == problems
    assert space.catalogue.find(bad.id) is None
    assert any(key.startswith(f"damaged/aligned/{bad.id}-") for key in keys(lake_url))
    assert not make(space, "bad").reused
    assert_good(space, bad, "bad")
    assert_good(space, good, "good")


def test_what_exists_is_never_overwritten(space, lake_url, tmp_path):
    (tmp_path / "file").write_text("first")
    bucket = Bucket(lake_url)
    bucket.put(tmp_path / "file", "x/file")
    with pytest.raises(LakeError, match="another process"):
        bucket.put(tmp_path / "file", "x/file")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_killed_anywhere_breaks_and_loses_nothing(space, lake_url):
    before = make(space, "before").artifact.ref
    points = ["first", "midway", "record", "row"]
    folder = os.path.dirname(__file__)  # noqa: PTH120 - for sys.path
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, folder, lake_url, point]) for point in points
    ]
    assert [child.wait(250) for child in children] == [-signal.SIGKILL] * len(points)
    listed = {artifact.ref for artifact in space.catalogue.artifacts()}
    assert listed == {before}
    complete = {key.split("/")[2] for key in keys(lake_url) if key.endswith(RECORD_NAME)}
    assert complete == {before.id, request_of("row").ref.id}
    # Half of them are asked for again, the doctor mends what the others left.
    for point in ("midway", "row"):
        assert make(space, point).reused is (point == "row"), "complete but unlisted: adopted"
        assert space.lake.read_json(request_of(point).ref, "name.json") == {"name": point}
    problems = examine(space)
    codes = {problem.code for problem in problems}
    assert codes == {"leftover", "unlisted_damaged", "stuck_run"}
    assert repair_problems(space, problems) == problems
    assert_good(space, before, "before")
    for point in points:
        make(space, point)
        assert_good(space, request_of(point).ref, point)
