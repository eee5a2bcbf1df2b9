"""What every test shares."""

import pytest

from tests.oracle_database import oracle

__all__ = ["anyio_backend", "oracle"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
