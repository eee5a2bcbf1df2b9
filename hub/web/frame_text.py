"""Encodes frames as JSON text, once per reading for all viewers."""

import json
from collections.abc import Callable

from hub.readings.snapshot import FeedStatus, Snapshot, frame
from hub.units.unit import Unit


class FrameText:
    """Caches the text of the newest reading of each unit, with and without `raw_payload`."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._newest: dict[tuple[str, bool], tuple[Snapshot, str]] = {}

    def of_snapshot(self, snapshot: Snapshot, dropped: int, with_raw: bool) -> str:
        """The frame of a reading that has just arrived; its age counts from the receipt."""
        key = (snapshot.unit_id, with_raw)
        newest = self._newest.get(key)
        if newest is not None and newest[0] is snapshot:
            head = newest[1]
        else:
            head = _head(frame(snapshot.unit_id, snapshot, FeedStatus.OK, None, self._steady(), 0, with_raw))
            if newest is None or newest[0].sequence < snapshot.sequence:
                self._newest[key] = (snapshot, head)
        return f'{head},"dropped":{dropped}}}'

    def of_unit(self, unit: Unit, dropped: int, with_raw: bool) -> str:
        """The frame of a unit's last reading with its true age, and of its status now."""
        return f'{_head(unit.frame(0, with_raw))},"dropped":{dropped}}}'


def _head(body: dict[str, object]) -> str:
    del body["dropped"]
    return json.dumps(body, separators=(",", ":"), allow_nan=False)[:-1]
