"""Finds the container ids that a trace begins with, from a lot, a wafer, an order or a date range."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import Any

from hub.trace.domains import OWNER
from hub.trace.query import Query, batches, bound, distinct

_CONTAINER = f"SELECT c.CONTAINERID, c.CONTAINERNAME FROM {OWNER}.DW_MES_CONTAINER c WHERE"
_FINISHED = f"SELECT DISTINCT m.LOTID, m.FINISHEDNAME FROM {OWNER}.DW_MES_PJ_COMBINEDASSYLOTS m WHERE"
_RANGE = (
    f"SELECT DISTINCT h.CONTAINERID, c.CONTAINERNAME FROM {OWNER}.DW_MES_LOTWIPHISTORY h "
    f"LEFT JOIN {OWNER}.DW_MES_CONTAINER c ON c.CONTAINERID = h.CONTAINERID "
    "WHERE h.TRACKINTIMESTAMP >= :from_time AND h.TRACKINTIMESTAMP < :to_time"
)
_COLUMNS = ("CONTAINERID", "CONTAINERNAME")
MAX_VALUES = 1000
MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class _Kind:
    sql: str
    column: str


_WAFER, _LOT, _ORDER = (
    _Kind(_CONTAINER, column) for column in ("c.FIRSTNAME", "c.CONTAINERNAME", "c.MFGORDERNAME")
)
PROFILES: Mapping[str, Mapping[str, _Kind]] = {
    "query_tool": {"wafer_lot": _WAFER, "lot_id": _LOT, "work_order": _ORDER},
    "query_tool_reverse": {
        "serial_number": _Kind(_FINISHED, "m.FINISHEDNAME"),
        "gd_work_order": _ORDER,
        "gd_lot_id": _LOT,
    },
    "mid_section_defect": {},
}
RANGE_PROFILE = "mid_section_defect"


def seed_queries(profile: str, params: Mapping[str, Any], zone: tzinfo) -> list[Query]:
    """The statements that find the seeds. Raises ValueError, which says what to write.

    `params` is `{"lot_id": ["…"]}`, or `{"resolve_type": "lot_id", "values": ["…"]}`; for a date range
    `{"start": "2026-01-01", "end": "2026-02-01", "station": "…"}` without `end` itself.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}")
    if profile == RANGE_PROFILE:
        return [_range(params, zone)]
    kinds = PROFILES[profile]
    wanted = dict(params)
    if "resolve_type" in wanted:
        wanted = {str(wanted["resolve_type"]): wanted.get("values")}
    if not wanted or wanted.keys() - kinds.keys():
        raise ValueError(f"params must have some of {', '.join(kinds)}, each with a list of values")
    return [
        query for name, values in wanted.items() for query in _by_value(name, kinds[name], _values(name, values))
    ]


def _by_value(name: str, kind: _Kind, values: list[str]) -> Iterator[Query]:
    for some in batches(values, 100):
        marks, binds = bound(some)
        sql = f"{kind.sql} {kind.column} IN ({marks})"
        yield Query(f"seed:{name}", sql, binds, some, _COLUMNS)


def _values(name: str, values: Any) -> list[str]:
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ValueError(f"{name} must be a list of texts")
    if not all(len(each) <= MAX_LENGTH and each.isprintable() for each in values):
        raise ValueError(f"{name}: each value must be up to {MAX_LENGTH} characters on one line")
    found = distinct(values)
    if not 1 <= len(found) <= MAX_VALUES:
        raise ValueError(f"{name} must have 1 to {MAX_VALUES} values")
    return found


def _range(params: Mapping[str, Any], zone: tzinfo) -> Query:
    if unknown := params.keys() - {"start", "end", "station"}:
        named = ", ".join(each[:40] for each in sorted(unknown)[:3])
        raise ValueError(f"params of {RANGE_PROFILE} are start, end and station, not {named}")
    binds: dict[str, Any] = {
        "from_time": _moment("start", params.get("start"), zone),
        "to_time": _moment("end", params.get("end"), zone),
    }
    if binds["from_time"] >= binds["to_time"]:
        raise ValueError("start must be before end")
    sql = _RANGE
    station = params.get("station")
    if station is not None:
        if not isinstance(station, str) or not station.isprintable() or not 0 < len(station.strip()) <= MAX_LENGTH:
            raise ValueError("station must be the name of a work center")
        sql += " AND h.WORKCENTERNAME = :station"
        binds["station"] = station.strip()
    return Query("seed:range", sql, binds, (), _COLUMNS)


def _moment(name: str, text: Any, zone: tzinfo) -> datetime:
    """A time in the plant's zone, without a zone, as in its database."""
    try:
        at = datetime.combine(date.fromisoformat(text), time()) if len(text) == 10 else datetime.fromisoformat(text)
        return at.astimezone(zone).replace(tzinfo=None) if at.tzinfo else at
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{name} must be a date such as 2026-02-25, or a time such as 2026-02-25T08:00:00Z"
        ) from None
