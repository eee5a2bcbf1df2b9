"""Oracle as a source of trace rows, through the bulk lane."""

from hub.oracle.bulk import BulkLane
from hub.oracle.connection import Reading, Take
from hub.trace.query import Query


class OracleSource:
    """A `TraceSource` on a bulk lane."""

    def __init__(self, lane: BulkLane) -> None:
        self.lane = lane

    async def read(self, query: Query, take: Take, reading: Reading = Reading.PLAIN) -> None:
        """One batch within the lane's deadlines."""
        await self.lane.read(query.sql, query.binds, take, reading)
