"""Runs the scripts in the transaction that `hub.migrations` has opened."""

from alembic import context

from hub.all_tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=False)
context.run_migrations()
