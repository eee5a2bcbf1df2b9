"""Imports at the start what Python would import at first use, when descriptors or the disk may be missing."""

from importlib import import_module

import anyio

_LATE = (
    "anyio.abc",
    "anyio.from_thread",
    "anyio.lowlevel",
    "anyio.streams.buffered",
    "anyio.streams.memory",
    "anyio.streams.stapled",
    "anyio.streams.text",
    "anyio.streams.tls",
    "anyio.to_thread",
    "encodings.idna",  # for host names
    "encodings.punycode",
    "sqlalchemy.dialects.sqlite",
    "stringprep",
    "traceback",
    "unicodedata",
)


def load_everything() -> None:
    """Import everything. Call it before anything that must keep running when no file descriptor is left."""
    for name in dir(anyio):
        getattr(anyio, name)  # anyio imports each of its submodules at first access
    for name in _LATE:
        import_module(name)
