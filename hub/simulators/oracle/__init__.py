"""A small Oracle on TCP for the real python-oracledb driver: canned plant, live faults, counters.

    async with open_oracle(plant=Plant(rows=2784, machines=2600), users={"reader": "secret"}) as server:
        connection = await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn)
        server.faults.hang = "WIP_V"
        server.plant.set_status(server.plant.machines[0], "UDT")
        server.counters.peak_sessions

It speaks as a release 23 (fast authentication, end of response, field version 24). To answer other statements pass
`handler(sql, binds, session)`: it returns a ResultSet, Done, OraError, Delay, Hang, or None for the plant's answer.
As a process: `python -m hub.simulators.oracle --help`.
"""

from hub.simulators.oracle.answers import Answer, Binds, Column, Delay, Done, Handler, Hang, OraError, ResultSet
from hub.simulators.oracle.faults import Counters, Faults
from hub.simulators.oracle.history import History
from hub.simulators.oracle.plant import Plant
from hub.simulators.oracle.server import OracleServer, open_oracle

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
