"""Runs the platform history on the connection that `tenants.migrator` hands in."""

from alembic import context

from tenants.names import PLATFORM_SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=PLATFORM_SCHEMA,
    target_metadata=context.config.attributes.get("metadata"),
)
with context.begin_transaction():
    context.run_migrations()
