"""Returns memory to the system after a burst: collects reference cycles, and trims the allocator."""

import ctypes
import gc
from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio
from anyio import to_thread

from hub.runtime.memory import resident_bytes

_CHECK_INTERVAL_S = 10.0
_GROWN = 1.1
_CHANGED = 0.03
_MAX_COLLECTIONS = 10
_GROWN_BYTES = 16_000_000
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)


def settle_allocator() -> None:
    """Configure glibc's allocator; does nothing with another C library. Call it before anything large is allocated.

    Every large block is mapped and unmapped by itself, and threads share two heaps. By default each thread has a
    heap, which keeps the memory of one large response, and a freed block of 4 MB makes later blocks stay mapped.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 1 << 18)
        library.mallopt(_TRIM_THRESHOLD, 1 << 20)
        library.mallopt(_ARENA_MAX, 2)


async def run_memory_upkeep(
    close_idle: Callable[[], Awaitable[None]],
    interval_s: float | None = None,
    resident: Callable[[], int | None] = resident_bytes,
    trim: Callable[[], None] | None = None,
    collect: Callable[[], object] = gc.collect,
) -> NoReturn:
    """Collect and trim while the process uses a tenth more than its minimum: soon, then less often, down to once a
    minute.

    A full collection stops the loop for some hundredths of a second. What is left after ten of them is in use,
    until the size changes again, such as at the end of a long burst. `close_idle` closes idle connections: their
    memory is scattered over many pages, none of which could be returned.
    """
    first_s = interval_s or _CHECK_INTERVAL_S
    lowest = left = resident() or 0  # reads a file of /proc, which never blocks
    pause_s, collections = first_s, 0
    while True:
        await anyio.sleep(pause_s)
        now = resident() or 0
        if now <= max(lowest * _GROWN, lowest + _GROWN_BYTES):
            lowest, pause_s, collections = min(lowest, now), first_s, 0
            continue
        if abs(now - left) > left * _CHANGED:
            collections = 0
        if collections < _MAX_COLLECTIONS:
            collect()
            await close_idle()
            await to_thread.run_sync(trim or _trim)
            left, collections = resident() or 0, collections + 1
        pause_s = min(2 * pause_s, 6 * first_s)


def _trim() -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
