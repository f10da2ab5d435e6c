"""What the nightly run finds in a folder."""

from flows.nightly import find_recordings


def test_files_and_stores_are_found_and_nothing_inside_or_hidden(tmp_path):
    for name in ("a.nwb", "deep/b.nwb", ".half.nwb", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("c.nwb.zarr", "deep/d.nwb", ".half.nwb.zarr", "other.zarr", "e.nwb.zarr"):
        (tmp_path / name).mkdir()
        if not name.startswith("e"):  # a folder that is no store, or not yet
            (tmp_path / name / "zarr.json").write_text("{}")
    (tmp_path / "c.nwb.zarr" / "inner.nwb").write_text("")
    found = {path.relative_to(tmp_path).as_posix() for path in find_recordings(tmp_path)}
    assert found == {"a.nwb", "deep/b.nwb", "c.nwb.zarr", "deep/d.nwb"}
