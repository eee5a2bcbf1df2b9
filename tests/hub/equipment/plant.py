"""Five rows of a small plant, and functions that make rows for tests."""

from typing import Any

from hub.equipment.view import COLUMNS
from hub.oracle.connection import Rows

A1 = {
    "RESOURCEID": "48801680000000a1",
    "EQUIPMENTID": "GWBK-9001",
    "OBJECTCATEGORY": "ASSEMBLY",
    "EQUIPMENTASSETSSTATUS": "PRD",
    "EQUIPMENTASSETSSTATUSREASON": "Production RUN",
    "Package": "SOT-23",
    "Function": "TVS/ESD",
    "SPEC": "Wire Bond",
}
LOT_1 = A1 | {
    "RUNCARDLOTID": "GA26039001-A00-001",
    "PACKAGE_LF": "SOT-23/OPT1",
    "TYPE": "PX7002",
    "LOTTRACKINQTY_PCS": 30784,
    "LOTTRACKINTIME": "2026-03-18T02:46:29",
    "LOTTRACKINEMPLOYEE": "OP0001",
}
LOT_2 = A1 | {"RUNCARDLOTID": "GA26039001-A00-002", "LOTTRACKINEMPLOYEE": "OP0002"}
B2 = {
    "RESOURCEID": "48801680000000b2",
    "EQUIPMENTID": "GDBA-9002",
    "OBJECTCATEGORY": "ASSEMBLY",
    "EQUIPMENTASSETSSTATUS": "UDT",
    "EQUIPMENTASSETSSTATUSREASON": "Vacuum low",
    "JOBORDER": "MO-9002",
    "JOBID": "50001680000000j1",
    "JOBSTATUS": "Open",
    "CREATEDATE": "2026-03-18T01:10:00",
    "CREATEUSERNAME": "USER A",
}
C3 = {
    "RESOURCEID": "48801680000000c3",
    "EQUIPMENTID": "GWSR-9003",
    "OBJECTCATEGORY": "WAFERSORT",
    "EQUIPMENTASSETSSTATUS": "設備-LOST",
}
FIVE = (LOT_1, LOT_2, LOT_1, B2, C3)


def view_rows(*cells: dict[str, Any]) -> Rows:
    """A result of the view; what a row does not name is NULL."""
    return Rows(COLUMNS, [tuple(row.get(name) for name in COLUMNS) for row in cells])
