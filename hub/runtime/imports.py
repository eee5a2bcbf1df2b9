"""Loads at the start what Python would load at first use: an import then needs a file descriptor, and the disk."""

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
    "encodings.idna",  # of names of hosts
    "encodings.punycode",
    "sqlalchemy.dialects.sqlite",
    "stringprep",
    "traceback",
    "unicodedata",
)


def load_everything() -> None:
    """Call before anything runs that must go on when no descriptor is left."""
    for name in dir(anyio):
        getattr(anyio, name)  # anyio loads each of its parts when it is first asked for
    for name in _LATE:
        import_module(name)
