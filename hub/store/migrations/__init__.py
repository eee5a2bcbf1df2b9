"""Alembic revisions of the schema, shipped with the package."""
