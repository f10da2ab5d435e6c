"""Connections to the catalogue's database and its migrations."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from schemas.errors import LakeError
from tasks.common.locks import hold_lock

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 60
_ADVISORY_LOCK = 0x7EC7


@cache
def _engine_of_process(url: str, process: int) -> Engine:
    """Return one engine per URL and process: connections do not survive a fork."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(_with_driver(url), pool_pre_ping=True)
    _migrate(engine)
    return engine


def connect(url: str) -> Engine:
    """Return an engine on the catalogue, its tables brought up to date.

    Raises
    ------
    LakeError
        The database cannot be reached or written, or was made by a newer Tectum.
    """
    with database_errors(url):
        return _engine_of_process(url, os.getpid())


@contextmanager
def database_errors(url: str) -> Generator[None]:
    """Turn what a database says into one clear error."""
    try:
        yield
    except OperationalError as error:
        raise LakeError(
            f"the catalogue cannot be used: {str(error.orig).strip()}.",
            where=make_url(url).render_as_string(hide_password=True),
            remedy="Check that it exists, is writable and that its disk is not full.",
        ) from error
    except DBAPIError as error:
        raise LakeError(
            f"the catalogue refused: {str(error.orig).strip()}.",
            where=make_url(url).render_as_string(hide_password=True),
        ) from error


def _with_driver(url: str) -> str:
    """Name the driver that Tectum installs, where the user named only the database."""
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in {"postgresql", "postgres"} else url


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # None: SQLAlchemy's own BEGIN below decides, so that a writer never starts as a reader.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A reader that becomes a writer fails at once with "database is locked"; IMMEDIATE waits.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    head = _script().get_current_head()
    if engine.dialect.name == "sqlite":
        database = Path(str(engine.url.database))
        if not database.exists() or _revision(engine) != head:
            with hold_lock(database.with_name(database.name + ".lock")):
                _upgrade(engine)
    elif _revision(engine) != head:
        with engine.connect() as connection, connection.begin():
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            _upgrade(engine)


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    known = {script.revision for script in _script().walk_revisions()}
    if found is not None and found not in known:
        raise LakeError(
            f"the catalogue has revision '{found}', which this Tectum does not know.",
            where=engine.url.render_as_string(hide_password=True),
            remedy="It was made by a newer Tectum: upgrade this one.",
        )
    return found


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS))


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
