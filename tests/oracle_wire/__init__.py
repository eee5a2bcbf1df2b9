"""A small Oracle on TCP for the real python-oracledb driver: canned plant, live faults, counters."""

from tests.oracle_wire.answers import (
    Answer,
    Binds,
    Column,
    Delay,
    Done,
    Handler,
    Hang,
    OraError,
    ResultSet,
)
from tests.oracle_wire.faults import Counters, Faults
from tests.oracle_wire.history import History
from tests.oracle_wire.plant import Plant
from tests.oracle_wire.server import OracleServer, open_oracle

__all__ = [
    "Answer",
    "Binds",
    "Column",
    "Counters",
    "Delay",
    "Done",
    "Faults",
    "Handler",
    "Hang",
    "History",
    "OraError",
    "OracleServer",
    "Plant",
    "ResultSet",
    "open_oracle",
]
