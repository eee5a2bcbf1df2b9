"""A PostgreSQL for whole hubs, where there is one."""

import pytest

from tests.hub.conftest import empty_schema, postgres_url

__all__ = ["empty_postgres", "postgres_url"]


@pytest.fixture
def empty_postgres(postgres_url: str) -> str:
    """The URL of an empty schema."""
    empty_schema(postgres_url)
    return postgres_url
