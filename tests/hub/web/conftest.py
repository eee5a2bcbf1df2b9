"""Fixtures for web tests. A call that blocks the event loop fails the test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.hub.web.parts import TOKENS, Site, open_site


@contextmanager
def no_blocking() -> Iterator[None]:
    """Raise on calls that block the event loop, except the path lookups that building the application needs."""
    with blockbuster_ctx(["hub", "alerts"]) as blockbuster:
        blockbuster.functions["os.path.abspath"].deactivate()
        blockbuster.functions["os.stat"].deactivate()
        blockbuster.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
        yield


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Two units, no tokens."""
    async with open_site(tmp_path) as site:
        with no_blocking():
            yield site


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Site]:
    """Two units, a token of each role."""
    async with open_site(tmp_path, TOKENS) as site:
        with no_blocking():
            yield site
