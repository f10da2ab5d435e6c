"""The catalogue says the same on SQLite and on PostgreSQL."""

import math
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest

from schemas.entities import QCMetric, RunState, Session, Subject
from schemas.errors import LakeError, NotFoundError, SettingsError
from tasks.common.catalogue import Catalogue

START = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=9)))


def test_a_session_comes_back_as_it_went_in(bench) -> None:
    session = Session(
        subject=Subject(subject_id="fly80", species="Drosophila melanogaster", sex="F", age="P7D"),
        session_id="s1",
        start_time=START,
        description="a walk, 30 °C",
    )
    catalogue = bench.workspace.catalogue
    key = catalogue.add_session(session)
    found = catalogue.session(key)
    assert found == session
    assert found.start_time.tzinfo == UTC
    assert catalogue.add_session(session) == key
    assert len(catalogue.sessions()) == 1


def test_two_sessions_of_one_name_stay_apart(bench) -> None:
    catalogue = bench.workspace.catalogue
    keys = [
        catalogue.add_session(
            Session(subject=Subject(subject_id="fly"), session_id="s", start_time=start)
        )
        for start in (START, START + timedelta(days=1))
    ]
    names = [catalogue.session_name(key) for key in keys]
    assert names == ["fly-s", f"fly-s-{keys[1][:6]}"]
    assert [catalogue.find_session(name) for name in names] == keys


def test_finding_a_session(bench) -> None:
    catalogue = bench.workspace.catalogue
    fly80, fly81 = bench.add_session("fly80"), bench.add_session("fly81")
    assert catalogue.find_session("fly80") == fly80
    assert catalogue.find_session(fly81[:8]) == fly81
    with pytest.raises(NotFoundError, match=r"several sessions fit 'fly8'.*fly80.*fly81"):
        catalogue.find_session("fly8")
    with pytest.raises(NotFoundError, match="no session is called 'mouse'"):
        catalogue.find_session("mouse")
    with pytest.raises(NotFoundError, match="no session with key"):
        catalogue.session("0" * 16)
    with pytest.raises(NotFoundError, match="no session with key"):
        catalogue.session_name("0" * 16)


def test_finding_an_artifact(bench) -> None:
    catalogue = bench.workspace.catalogue
    made = bench.make(1).artifact
    assert catalogue.find(made.ref.id) == made
    assert catalogue.get(made.ref.id[:8]) == made
    assert catalogue.get(str(made.ref)) == made
    assert catalogue.find("0" * 32) is None
    for text in ("zz", f"causal/{made.ref.id}", "%", "_"):
        with pytest.raises(NotFoundError, match="there is no artifact"):
            catalogue.get(text)
    bench.make(2)
    with pytest.raises(NotFoundError, match="several artifacts fit"):
        catalogue.get("")


def test_the_newest_artifact_of_a_session_and_search(bench) -> None:
    catalogue = bench.workspace.catalogue
    key = bench.add_session("fly80")
    first, second = (bench.make(number, session_key=key).artifact for number in (1, 2))
    assert catalogue.latest(key, "aligned").ref == second.ref
    with pytest.raises(NotFoundError, match="no 'causal' artifact"):
        catalogue.latest(key, "causal")
    assert list(catalogue.search(session="fly80")["id"]) == [second.ref.id, first.ref.id]
    assert list(catalogue.search(kind="causal")["id"]) == []
    assert len(catalogue.search(subject="fly80", kind="aligned")) == 2
    row = catalogue.sessions().iloc[0]
    assert (row["subject_id"], row["artifacts"]) == ("fly80", 2)
    assert row["bytes"] == first.bytes + second.bytes
    assert catalogue.sessions()["bytes"].dtype == "int64"


def test_parents_children_and_the_steps_between(bench) -> None:
    catalogue = bench.workspace.catalogue
    a = bench.make(1, "streams").artifact.ref
    b = bench.make(2, "preprocessed", (a,)).artifact.ref
    c = bench.make(3, "aligned", (b, a)).artifact.ref
    bench.make(4, "streams")
    found = catalogue.find(c.id)
    assert found is not None
    assert found.parents == (b, a)
    assert catalogue.children(a.id) == [b, c]
    assert catalogue.ancestry(c.id) == [(a, b), (b, c), (a, c)]
    assert catalogue.ancestry(a.id) == []
    assert catalogue.progeny(a.id) == [(a, b), (b, c), (a, c)]
    assert [artifact.ref for artifact in catalogue.artifacts()][:3] == [a, b, c]


def test_a_forgotten_parent_stays_named(bench) -> None:
    catalogue = bench.workspace.catalogue
    a = bench.make(1, "streams").artifact.ref
    b = bench.make(2, "aligned", (a,)).artifact.ref
    catalogue.forget(a.id)
    found = catalogue.find(b.id)
    assert catalogue.find(a.id) is None
    assert found is not None
    assert found.parents == (a,)
    assert catalogue.ancestry(b.id) == [(a, b)]


def test_facts_metrics_and_settings_come_back(bench) -> None:
    def build(draft) -> None:  # type: ignore[no-untyped-def]
        draft.metric("valid", 0.98, 0.5, "pass", "of all samples")
        draft.metric("skill", math.nan, verdict="warn")
        draft.metric("ratio", math.inf)
        draft.fact("split", {"train": [0.0, 1.5], "name": "größer"})

    ref = bench.workspace.produce(bench.request(1), build).artifact.ref
    catalogue = bench.workspace.catalogue
    valid, skill, ratio = catalogue.metrics(ref.id)
    assert valid == QCMetric(
        name="valid", value=0.98, threshold=0.5, verdict="pass", note="of all samples"
    )
    assert math.isnan(skill.value)
    assert ratio.value == math.inf
    assert catalogue.facts(ref.id) == {"split": {"train": [0.0, 1.5], "name": "größer"}}
    artifact = catalogue.get(ref.id)
    assert catalogue.param_set("align", artifact.param_hash).values == {"number": 1}


def test_a_run_tells_machine_packages_and_state(bench) -> None:
    catalogue = bench.workspace.catalogue
    run = catalogue.run(bench.make(1).artifact.run_id)
    assert run["state"] == RunState.COMPLETE
    assert run["started"] <= run["ended"]
    assert "numpy" in run["environment"]["packages"]
    assert catalogue.runs_in(RunState.RUNNING) == []
    with pytest.raises(NotFoundError, match="no run"):
        catalogue.run("none")


def test_recording_files_and_quarantine(bench) -> None:
    catalogue = bench.workspace.catalogue
    recording = bench.make(1, "recording").artifact.ref.id
    catalogue.add_recording_file("/data/a.nwb", 10, 2**62, "aa", recording)
    assert catalogue.find_recording_file("/data/a.nwb", 10, 2**62) == recording
    assert catalogue.find_recording_file("/data/a.nwb", 11, 2**62) is None
    assert catalogue.find_recording_file("/data/b.nwb", 10, 2**62) is None
    assert catalogue.find_recording_bytes("aa") == recording
    catalogue.add_recording_file("/data/a.nwb", 12, 3, "bb", recording)
    assert catalogue.find_recording_bytes("aa") is None
    assert catalogue.recording_files()["size"].tolist() == [12]
    catalogue.add_quarantine("cc", "/data/bad.nwb", {"what": "no time"})
    catalogue.add_quarantine("cc", "/data/bad.nwb", {"what": "still no time"})
    assert [one["what"] for one in catalogue.quarantine_reasons()] == ["still no time"]
    catalogue.add_quarantine("cc", "/data/bad.nwb", {"what": "no time", "settled": "released"})
    assert catalogue.quarantine_reason("cc")["settled"] == "released"
    assert catalogue.quarantine_reason("dd") is None
    catalogue.forget(recording)
    assert catalogue.find_recording_bytes("bb") is None


@pytest.mark.parametrize("url", ["nonsense", "nodatabase://x/y", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="not the address of a database"):
        Catalogue(url)


def test_an_unreachable_server_is_one_clear_error_without_the_password() -> None:
    with pytest.raises(LakeError, match="catalogue cannot be used") as caught:
        Catalogue("postgresql://tectum:geheim@127.0.0.1:1/none")
    assert "geheim" not in str(caught.value)


def test_a_lock_is_held_by_one_machine_at_a_time(catalogue_url: str, backend: str) -> None:
    catalogue = Catalogue(catalogue_url)
    with catalogue.hold_lock("an id"):
        with catalogue.hold_lock("another id"):
            pass
        if backend == "postgresql":
            with psycopg.connect(catalogue_url, autocommit=True) as other:
                held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                assert other.execute(held).fetchone() == (1,)
    with catalogue.hold_lock("an id"):
        pass
    catalogue.close()
