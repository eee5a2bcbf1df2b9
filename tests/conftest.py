"""What every test shares."""

import pytest
from hypothesis import HealthCheck, settings

from tests.oracle_database import oracle

__all__ = ["anyio_backend", "oracle"]

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
