"""Databases for the store's tests: a SQLite file, and a schema of its own on a real PostgreSQL."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from hub.database.database import Database, open_database
from hub.store.schema import upgrade


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A URL whose tables live in a schema of their own, dropped afterwards."""
    server = os.environ.get("HUB_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    schema = f"hub_test_{uuid4().hex[:12]}"
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        reason = f"no PostgreSQL at HUB_TEST_POSTGRES: {error}"
        if os.environ.get("HUB_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> str:
    """The schema of this run, emptied."""
    empty_schema(postgres_url)
    return postgres_url


def empty_schema(url: str) -> None:
    """Drop everything in the schema that this URL leads to."""
    with psycopg.connect(url, autocommit=True) as connection:
        schema = connection.execute("SELECT current_schema()").fetchall()[0][0]
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
        connection.execute(f"CREATE SCHEMA {schema}")


@pytest.fixture
def own_postgres_url(postgres_url: str) -> Iterator[str]:
    """A whole database, for what is set for all of it."""
    with own_postgres(postgres_url) as url:
        yield url


@contextmanager
def own_postgres(server: str, encoding: str = "UTF8") -> Iterator[str]:
    """The URL of a new database of this encoding."""
    name = f"hub_test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        try:
            yield urlsplit(server)._replace(path=f"/{name}", query="").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with every table."""
    async with open_database(database_url) as database:
        await database.write(upgrade)
        yield database


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """An open SQLite database with every table, for what does not depend on the kind."""
    async with open_database(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        await database.write(upgrade)
        yield database


@pytest.fixture
async def postgres(empty_postgres_url: str) -> AsyncIterator[Database]:
    """An open PostgreSQL database with every table, for what is its own."""
    async with open_database(empty_postgres_url) as database:
        await database.write(upgrade)
        yield database
