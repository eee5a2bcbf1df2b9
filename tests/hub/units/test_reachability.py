import pytest

from hub.readings.snapshot import Snapshot
from hub.units.reachability import is_offline
from tests.hub.store.events import snapshot


def at(time: float) -> Snapshot:
    return snapshot(1)._replace(time=time, cadence_s=1.0)


@pytest.mark.parametrize(
    ("failures", "latest", "resumed_s", "expected"),
    [
        (2, at(99.0), 0.0, False),
        (3, at(99.0), 0.0, True),
        (1, at(89.0), 0.0, True),  # older than ten seconds
        (1, at(89.0), 95.0, False),  # the hub stood still
        (1, None, 0.0, False),
        (3, None, 0.0, True),
    ],
)
def test_an_instrument_is_offline_after_three_failures_or_one_once_its_value_is_stale(
    failures: int, latest: Snapshot | None, resumed_s: float, expected: bool
) -> None:
    assert is_offline(failures, 3, latest, 100.0, resumed_s) is expected
