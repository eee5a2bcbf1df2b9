"""Aggregates the rows of the view, several per machine, into one record per machine. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hub.equipment.view import JOB_COLUMNS, LOT_COLUMNS, STATUS_CATEGORY, Row, category_of

Record = dict[str, Any]
"""The 23 keys of a machine, and `JOBS` and `flags`; times are aware UTC datetimes."""

LOT_KEYS = (
    *("RUNCARDLOTID", "LOTTRACKINQTY_PCS", "LOTTRACKINTIME", "LOTTRACKINEMPLOYEE"),
    *(name.upper() for name in LOT_COLUMNS if not name.startswith(("RUNCARDLOTID", "LOTTRACKIN"))),
)

_RANK = {code: rank for rank, code in enumerate(STATUS_CATEGORY)}


@dataclass(slots=True)
class Tally:
    """Counts of the rows and machines of one aggregation, and of what was wrong in them."""

    rows: int = 0
    machines: int = 0
    rows_without_id: int = 0
    conflicts: int = 0  # machines whose rows disagree on the status
    unknown_codes: dict[str, int] = field(default_factory=dict)  # code -> machines
    bad_times: int = 0
    bad_quantities: int = 0
    bad_texts: int = 0


def aggregate(rows: Iterable[Row]) -> tuple[list[Record], Tally]:
    """One record per RESOURCEID, in the order in which they first appear."""
    tally = Tally()
    groups: dict[str, list[Row]] = {}
    for row in rows:
        tally.rows += 1
        if row["RESOURCEID"]:
            groups.setdefault(row["RESOURCEID"], []).append(row)
        else:
            tally.rows_without_id += 1
    records = [_machine(group) for group in groups.values()]
    tally.machines = len(records)
    for record in records:
        status = record["EQUIPMENTASSETSSTATUS"]
        tally.conflicts += record["flags"]["status_conflict"]
        if status is not None and status not in STATUS_CATEGORY:
            tally.unknown_codes[status] = tally.unknown_codes.get(status, 0) + 1
    return records, tally


def _machine(rows: list[Row]) -> Record:
    first = rows[0]
    worst = min(rows, key=_severity)
    jobs: dict[str, Row] = {}
    by_lot: dict[str, list[Row]] = {}
    for row in rows:
        if row["JOBID"]:
            jobs.setdefault(row["JOBID"], row)
        if row["RUNCARDLOTID"]:
            by_lot.setdefault(row["RUNCARDLOTID"], []).append(row)
    job = next(iter(jobs.values()), first)
    lots = [_lot(group) for group in by_lot.values()]
    quantities = [lot["LOTTRACKINQTY_PCS"] for lot in lots if lot["LOTTRACKINQTY_PCS"] is not None]
    times = [row["LOTTRACKINTIME"] for row in rows if row["LOTTRACKINTIME"] is not None]
    return {
        "RESOURCEID": first["RESOURCEID"],
        "EQUIPMENTID": first["EQUIPMENTID"],
        "OBJECTCATEGORY": first["OBJECTCATEGORY"],
        "EQUIPMENTASSETSSTATUS": worst["EQUIPMENTASSETSSTATUS"],
        "EQUIPMENTASSETSSTATUSREASON": worst["EQUIPMENTASSETSSTATUSREASON"],
        "STATUS_CATEGORY": category_of(worst["EQUIPMENTASSETSSTATUS"]).value,
        **{name: job[name] for name in JOB_COLUMNS},
        "LOT_COUNT": len(lots),
        "LOT_DETAILS": lots,
        "TOTAL_TRACKIN_QTY": _whole(sum(quantities)),
        "LATEST_TRACKIN_TIME": max(times, default=None),
        "JOBS": [{name: row[name] for name in JOB_COLUMNS} for row in jobs.values()],
        "flags": {
            "status_conflict": len({row["EQUIPMENTASSETSSTATUS"] for row in rows}) > 1,
            "qty_conflict": any(len(_quantities(group)) > 1 for group in by_lot.values()),
            "qty_missing": len(lots) - len(quantities),
            "unassigned_qty": _whole(sum(row["LOTTRACKINQTY_PCS"] or 0 for row in rows if not row["RUNCARDLOTID"])),
        },
    }


def _severity(row: Row) -> tuple[int, bool, str, str]:
    """The most severe row sorts first, whatever the order of the rows; a missing status comes last."""
    status = row["EQUIPMENTASSETSSTATUS"]
    reason = row["EQUIPMENTASSETSSTATUSREASON"] or ""
    return _RANK.get(status, len(_RANK)), status is None, status or "", reason


def _lot(rows: list[Row]) -> Record:
    """One lot of a machine: its first row that has a quantity; the latest one when the quantities differ."""
    counted = [row for row in rows if row["LOTTRACKINQTY_PCS"] is not None] or rows
    chosen = counted[0]
    if len(_quantities(rows)) > 1:
        chosen = max(counted, key=lambda row: (row["LOTTRACKINTIME"] is not None, row["LOTTRACKINTIME"] or 0))
    return {name: chosen[name] for name in LOT_KEYS}


def _quantities(rows: list[Row]) -> set[int | float]:
    return {row["LOTTRACKINQTY_PCS"] for row in rows if row["LOTTRACKINQTY_PCS"] is not None}


def _whole(number: float) -> int | float:
    return int(number) if number == int(number) else number
