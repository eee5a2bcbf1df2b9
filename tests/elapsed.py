"""How long a block may take, where the product says so; to keep a test from hanging use anyio.fail_after."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


@contextmanager
def takes_less_than(limit_s: float) -> Iterator[None]:
    """Fails when the block takes `limit_s` seconds or more, also where a shield keeps it from being cancelled.

    In virtual time the limit may lie just above what the product says; on a real clock it needs a margin.
    """
    began_s = anyio.current_time()
    with anyio.fail_after(limit_s):
        yield
    took_s = anyio.current_time() - began_s
    assert took_s < limit_s, f"took {took_s:.2f} s, may take less than {limit_s:g} s"
