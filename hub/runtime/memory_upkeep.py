"""Memory that was needed for a while, given back: cycles of garbage, and what the allocator keeps."""

import ctypes
import gc
from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio
from anyio import to_thread

from hub.runtime.memory import resident_bytes

_LOOK_S = 10.0
_GROWN = 1.1
_CHANGED = 0.03
_TIMES = 10
_AT_LEAST = 16_000_000
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)


def settle_allocator() -> None:
    """Call before anything large is allocated. Does nothing where the C library is not glibc.

    Large blocks are mapped and unmapped one by one, for whatever size, and threads share two heaps: by default a
    heap per thread keeps what one large answer needed, and a freed block of 4 MB makes later ones stay for good.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 1 << 18)
        library.mallopt(_TRIM_THRESHOLD, 1 << 20)
        library.mallopt(_ARENA_MAX, 2)


async def run_memory_upkeep(
    close_idle: Callable[[], Awaitable[None]],
    look_s: float | None = None,
    resident: Callable[[], int | None] = resident_bytes,
    trim: Callable[[], None] | None = None,
    collect: Callable[[], object] = gc.collect,
) -> NoReturn:
    """Tidy up while the process is a tenth above its lowest: soon, then ever less often, once a minute at least.

    A full collection stops the loop for some hundredths of a second. What is there after ten of them is needed,
    until the size changes: a burst that went on for all ten leaves something to give back when it ends.
    `close_idle` closes the connections that nobody uses: what they keep lies scattered over memory, and keeps much
    more of it from being given back.
    """
    first_s = look_s or _LOOK_S
    lowest = left = resident() or 0  # reads a file of /proc, which no disk holds up
    pause_s, times = first_s, 0
    while True:
        await anyio.sleep(pause_s)
        now = resident() or 0
        if now <= max(lowest * _GROWN, lowest + _AT_LEAST):
            lowest, pause_s, times = min(lowest, now), first_s, 0
            continue
        if abs(now - left) > left * _CHANGED:
            times = 0
        if times < _TIMES:
            collect()
            await close_idle()
            await to_thread.run_sync(trim or _trim)
            left, times = resident() or 0, times + 1
        pause_s = min(2 * pause_s, 6 * first_s)


def _trim() -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
