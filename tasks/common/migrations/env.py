"""Alembic's entry: runs migrations on the connection that the catalogue hands it."""

from alembic import context

from tasks.common.tables import Table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
