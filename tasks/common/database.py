"""Connections to the catalogue's database and its migrations."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from schemas.errors import LakeError, SettingsError
from tasks.common.locks import hold_lock

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 60
_ADVISORY_LOCK = 0x7EC7


def connect(url: str) -> Engine:
    """Return an engine on the catalogue, its tables brought up to date.

    Raises
    ------
    SettingsError
        `url` is no address of a database.
    LakeError
        The database cannot be reached or written, or was made by a newer Tectum.
    """
    try:
        with database_errors(url):
            engine = _engine_of_process(url, os.getpid())
            _bring_up_to_date(engine)
            return engine
    except (ArgumentError, NoSuchModuleError) as error:
        # The address may hold a password: do not repeat it.
        raise SettingsError(
            f"not the address of a database ({type(error).__name__}).",
            where="catalogue",
            remedy="Use sqlite:////FOLDER/catalogue.sqlite or postgresql://USER@HOST/DATABASE.",
        ) from None


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


@cache
def _engine_of_process(url: str, process: int) -> Engine:
    """Return one engine per URL and process: connections do not survive a fork."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(_with_driver(url), pool_pre_ping=True)
    if not parsed.database or parsed.database == ":memory:":
        raise ArgumentError("a catalogue in memory is lost with its process")
    if _is_read_only(Path(parsed.database)):
        # immutable: SQLite would otherwise write a lock file beside the database.
        path = Path(parsed.database).as_posix()
        return create_engine(f"sqlite:///file:{path}?mode=ro&immutable=1&uri=true")
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _is_read_only(database: Path) -> bool:
    """Whether a complete catalogue lies on a file system that cannot be written."""
    log = database.with_name(database.name + "-wal")
    complete = database.exists() and not (log.exists() and log.stat().st_size)
    return complete and not os.access(database.parent, os.W_OK)


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


def _bring_up_to_date(engine: Engine) -> None:
    """Run the migrations that this database still lacks, one process at a time."""
    head = max(known_revisions())
    if engine.dialect.name == "sqlite":
        database = Path(str(engine.url.database).removeprefix("file:"))
        if not database.exists():
            # Its lake was removed: open connections would go on with the deleted file.
            engine.dispose()
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
    if found is not None and found not in known_revisions():
        raise LakeError(
            f"the catalogue has revision '{found}', which this Tectum does not know.",
            where=engine.url.render_as_string(hide_password=True),
            remedy="It was made by a newer Tectum: upgrade this one.",
        )
    return found


@cache
def known_revisions() -> frozenset[str]:
    """Return the numbers of all migrations: each file is called after its revision."""
    return frozenset(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("0*.py"))


def _upgrade(engine: Engine) -> None:
    # Imported where it is needed: only a new or an old catalogue is migrated.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
