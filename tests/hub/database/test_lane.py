"""The lane of people's queries refuses with LaneFull, and says when to retry."""

import pytest

from hub.database.lane import Lane, LaneFull
from tests.virtual_time import virtual


@virtual
async def test_a_full_lane_refuses_and_says_when_to_retry() -> None:
    lane = Lane(1, 0, 5.0)
    async with lane.slot():
        with pytest.raises(LaneFull, match="too many queries at once") as refusal:
            async with lane.slot():
                raise AssertionError("there was no free slot")
    assert (refusal.value.retry_s, lane.refused) == (2.0, 1)
