"""How the interpreter is set for a service: garbage is collected seldom, and threads hand over quickly."""

import gc
import sys

_THRESHOLDS = (50_000, 20, 50)
_SWITCH_S = 0.0002


def settle_interpreter() -> None:
    """Call once everything is built.

    A thousand units are a million objects: to look through them all stops the loop for a quarter of a second,
    and finds nothing. A worker thread that waits for the interpreter gets it within a fifth of a millisecond
    instead of five: a commit beside a busy loop has to get it dozens of times.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_S)
