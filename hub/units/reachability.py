"""When failed polls mean that an instrument cannot be reached. Pure."""

from hub.readings.snapshot import Snapshot, stale_after_s


def is_offline(
    failures_in_a_row: int, offline_after: int, latest: Snapshot | None, now_s: float, resumed_s: float
) -> bool:
    """True after so many failures, or at the first once the last value is stale.

    `latest` is None where no value tells: one from before a restart or a release is old through no fault of the
    instrument's. Nor does the time count while the hub stood still, which it did until `resumed_s`. Times are the
    steady clock, seconds.
    """
    if failures_in_a_row >= offline_after:
        return True
    return latest is not None and now_s - max(latest.time, resumed_s) > stale_after_s(latest.cadence_s)
