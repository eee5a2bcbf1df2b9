"""Fixtures of the web's tests. Whatever blocks the event loop meanwhile fails the test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.hub.web.parts import TOKENS, House, open_house


@contextmanager
def no_blocking() -> Iterator[None]:
    """Calls that block the event loop raise; building the application may look at paths."""
    with blockbuster_ctx(["hub", "alerts"]) as blockbuster:
        blockbuster.functions["os.path.abspath"].deactivate()
        blockbuster.functions["os.stat"].deactivate()
        blockbuster.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
        yield


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Two units, no tokens."""
    async with open_house(tmp_path) as house:
        with no_blocking():
            yield house


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[House]:
    """Two units, a token of each role."""
    async with open_house(tmp_path, TOKENS) as house:
        with no_blocking():
            yield house
