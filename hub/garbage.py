"""How the process collects garbage: seldom, and without looking through what lives as long as the process."""

import gc

_THRESHOLDS = (50_000, 20, 50)


def settle_garbage_collection() -> None:
    """Call once everything is built. A thousand units are a million objects: to look through them stops the loop
    for a quarter of a second, and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
