"""The catalogue's tables are what the migrations make, on both databases."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from schemas.errors import LakeError
from tasks.common.catalogue import Catalogue
from tasks.common.database import MIGRATIONS, connect, known_revisions
from tasks.common.tables import Table


def test_the_migrations_make_exactly_the_tables(catalogue_url: str) -> None:
    engine = connect(catalogue_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_down_and_up_again(catalogue_url: str) -> None:
    engine = connect(catalogue_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        command.upgrade(config, "head")
    assert Catalogue(catalogue_url).sessions().empty
    engine.dispose()


def test_a_catalogue_of_a_newer_tectum_is_refused(catalogue_url: str) -> None:
    engine = connect(catalogue_url)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LakeError, match=r"revision '9999'.*newer Tectum"):
        connect(catalogue_url)
    engine.dispose()


def test_sqlite_writes_ahead_and_waits_for_other_writers(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/catalogue.sqlite")
    with engine.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 60_000,
    }


def test_a_removed_lake_starts_anew_in_the_same_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    Catalogue(url).add_quarantine("aa", "/a.nwb", {})
    for path in tmp_path.iterdir():
        path.unlink()
    assert Catalogue(url).quarantine_reasons() == []


def test_migrations_are_called_after_their_revisions() -> None:
    """So the newest one is known without Alembic, which takes a third of a second to import."""
    script = ScriptDirectory(str(MIGRATIONS))
    assert script.get_current_head() == max(known_revisions())
    assert {revision.revision for revision in script.walk_revisions()} == known_revisions()
