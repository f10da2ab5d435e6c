"""Catalogues for the tests of the foundation: each test runs on SQLite and on PostgreSQL."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from schemas.entities import ArtifactRef, Session, Subject, now
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.workspace import Product, Request, Workspace

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
BACKENDS = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server: the one TECTUM_TEST_POSTGRES names, or one of our own."""
    if given := os.environ.get("TECTUM_TEST_POSTGRES"):
        yield given
        return
    if not PROGRAMS:
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql, and no TECTUM_TEST_POSTGRES")
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(f"/tmp/tectum-postgres-{uuid4().hex[:8]}")
    folder.mkdir(mode=0o755)
    port, data, programs = _free_port(), str(folder / "data"), PROGRAMS[-1].parent
    url = f"postgresql://tectum@127.0.0.1:{port}/postgres"
    initdb = [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "tectum", "--no-sync"]
    # -F: no fsync; these servers are not pulled from the wall.
    serve = [str(programs / "postgres"), "-D", data, "-p", str(port), "-k", str(folder), "-F"]
    try:
        subprocess.run([*_as_postgres(folder), *initdb], check=True, capture_output=True)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*_as_postgres(folder), *serve], stdout=log, stderr=log)
        with server:
            _wait_for(url)
            yield url
            server.send_signal(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(folder: Path) -> list[str]:
    """Return the start of a command that ends with this process, as a user who is not root."""
    ends_with_us = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() != 0:
        return [*ends_with_us, "--"]
    # The server refuses to run as root.
    shutil.chown(folder, "postgres", "postgres")
    user = pwd.getpwnam("postgres")
    who = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return [*ends_with_us, *who, "--"]


def _wait_for(url: str) -> None:
    """Wait until a server answers; fails after half a minute."""
    for _ in range(300):
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        time.sleep(0.1)
    pytest.fail(f"no PostgreSQL server answers at {url}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Name of the database behind the catalogue."""
    return str(request.param)


@pytest.fixture
def new_catalogue(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], str]]:
    """Return a function that gives the address of a new, empty catalogue."""
    made: list[str] = []

    def sqlite() -> str:
        return f"sqlite:///{tmp_path}/{uuid4().hex[:8]}.sqlite"

    def postgresql() -> str:
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        made.append(name)
        return server.rpartition("/")[0] + f"/{name}"

    if backend == "sqlite":
        yield sqlite
        return
    server: str = request.getfixturevalue("postgres_url")
    yield postgresql
    with psycopg.connect(server, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


@pytest.fixture
def catalogue_url(new_catalogue: Callable[[], str]) -> str:
    """Address of an empty catalogue, on SQLite and on PostgreSQL."""
    return new_catalogue()


class NumberSettings(StageSettings):
    """Settings of a made-up stage."""

    number: int = 0


@dataclass
class Bench:
    """A workspace with short cuts for tests; all artifacts count as made by the stage 'align'."""

    workspace: Workspace

    def request(
        self,
        number: int,
        kind: str = "aligned",
        parents: tuple[ArtifactRef, ...] = (),
        session_key: str | None = None,
    ) -> Request:
        """Return the request for the artifact of a number."""
        return Request(kind, "align", NumberSettings(number=number), parents, session_key)

    def make(
        self,
        number: int,
        kind: str = "aligned",
        parents: tuple[ArtifactRef, ...] = (),
        session_key: str | None = None,
    ) -> Product:
        """Make (or find) the artifact of a number: one JSON file that holds the number."""

        def build(draft: Draft) -> None:
            draft.write_json("number.json", {"number": number})
            draft.metric("number", number)
            draft.fact("seed", number)
            draft.key_figure = f"number {number}"

        return self.workspace.produce(self.request(number, kind, parents, session_key), build)

    def number_in(self, ref: ArtifactRef) -> int:
        """Read the number that an artifact holds."""
        return int(self.workspace.lake.read_json(ref, "number.json")["number"])

    def add_session(self, name: str = "fly80") -> str:
        """Add a session of a subject."""
        session = Session(subject=Subject(subject_id=name), session_id="", start_time=now())
        return self.workspace.catalogue.add_session(session)


@pytest.fixture
def bench(tmp_path: Path, catalogue_url: str) -> Iterator[Bench]:
    """Return an empty lake with an empty catalogue."""
    found = Bench(
        Workspace(WorkspaceSettings(lake=str(tmp_path / "lake"), catalogue=catalogue_url))
    )
    yield found
    found.workspace.catalogue.close()
