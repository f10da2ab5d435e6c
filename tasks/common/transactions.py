"""Transactions on the catalogue's database, for the classes that together are the catalogue."""

import hashlib
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, text
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session as DatabaseSession

from tasks.common.database import connect, database_errors
from tasks.common.tables import Table

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert


class Transactions:
    """Opens transactions on the database behind a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = connect(url)

    @property
    def where(self) -> str:
        """The database's address for messages, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close the connections that are open; the next call opens new ones."""
        self._engine.dispose()

    @contextmanager
    def hold_lock(self, name: str) -> Generator[None]:
        """Hold a lock between all processes that share this catalogue.

        PostgreSQL frees it when its holder dies. A catalogue in SQLite is used by one machine,
        whose processes have the lake's lock files.
        """
        if self._engine.dialect.name == "sqlite":
            yield
            return
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        with database_errors(self.url), self._engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            # Not in a transaction: it would stay open for as long as the stage computes.
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
                connection.commit()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Generator[DatabaseSession]:
        engine = self._engine.execution_options(writes=writes)
        with (
            database_errors(self.url),
            DatabaseSession(engine, expire_on_commit=False) as db,
            db.begin(),
        ):
            yield db

    def _reading(self) -> AbstractContextManager[DatabaseSession]:
        return self._transaction(writes=False)

    def _writing(self) -> AbstractContextManager[DatabaseSession]:
        return self._transaction(writes=True)

    def _frame(self, query: Select[Any]) -> "pd.DataFrame":
        # Imported where it is needed: a stage that looks up its artifact needs no table.
        import pandas as pd

        with self._reading() as db:
            result = db.execute(query)
            return pd.DataFrame(result.all(), columns=list(result.keys()))

    def _insert_new(self, db: DatabaseSession, row: Table) -> None:
        """Insert a row unless there is one with the same key or another unique value."""
        db.execute(self._insert(row).on_conflict_do_nothing())

    def _upsert(self, db: DatabaseSession, row: Table) -> None:
        """Insert a row, or overwrite the one with the same key: one statement, so no race."""
        keys = [column.name for column in row.__table__.primary_key]
        values = {key: value for key, value in _columns(row).items() if key not in keys}
        db.execute(self._insert(row).on_conflict_do_update(index_elements=keys, set_=values))

    def _insert(self, row: Table) -> "SqliteInsert | PostgresqlInsert":
        # The same two methods on both, but no common base class has them.
        if self._engine.dialect.name == "sqlite":
            return sqlite_insert(type(row)).values(_columns(row))
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(type(row)).values(_columns(row))


def _columns(row: Table) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}
