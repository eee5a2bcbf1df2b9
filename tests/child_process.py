"""A child process that never outlives the block that started it, whatever fails in there."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def open_child(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """Run `command` with its output in pipes; kill it at the end of the block unless it has ended by then."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
