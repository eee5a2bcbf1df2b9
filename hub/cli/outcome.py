"""How commands end: exit codes and error messages; and the event loop that they run on."""

import os
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import typer

T = TypeVar("T")

OK = 0
FAILED = 1
CONFIGURATION = 2
PORT_TAKEN = 3


def fail(message: str, code: int = FAILED) -> int:
    """Print on standard error why the command fails; returns the exit code."""
    typer.echo(f"hub: {message}", err=True)
    return code


def output_closed() -> int:
    """End a command whose output was closed, as in `hub export | head`; returns the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return FAILED


def run_async(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run on asyncio, with uvloop if it is installed. An exception that is alone in its groups is raised itself."""
    import anyio

    try:
        return anyio.run(function, *args, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
