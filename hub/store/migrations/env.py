"""Runs the revisions on the connection that `hub.store.schema` hands over; alembic loads this file by itself."""

from alembic import context

from hub.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata(),
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
