"""Oracle as a source of trace rows, through the bulk lane."""

from hub.oracle.bulk import BulkLane
from hub.oracle.connection import FetchMode, RowSink
from hub.trace.query import Query


class OracleSource:
    """A `TraceSource` on a bulk lane."""

    def __init__(self, lane: BulkLane) -> None:
        self.lane = lane

    async def read(self, query: Query, sink: RowSink, mode: FetchMode = FetchMode.PLAIN) -> None:
        """Read one batch within the lane's deadlines."""
        await self.lane.read(query.sql, query.binds, sink, mode)
