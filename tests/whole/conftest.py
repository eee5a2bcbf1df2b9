"""A PostgreSQL for whole hubs, where there is one."""

import psycopg
import pytest

from tests.hub.conftest import postgres_url

__all__ = ["empty_postgres", "postgres_url"]


@pytest.fixture
def empty_postgres(postgres_url: str) -> str:
    """The URL of an empty schema."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        [schema] = connection.execute("SELECT current_schema()").fetchall()[0]
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
        connection.execute(f"CREATE SCHEMA {schema}")
    return postgres_url
