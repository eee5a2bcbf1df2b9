"""The seven event domains as data: their tables, key, columns, and how long a result may be cached."""

from dataclasses import dataclass
from enum import StrEnum

OWNER = "DWH"
_DATES = ("DATE", "TIMESTAMP", "TXN_DAY")


class DomainName(StrEnum):
    """The kinds of events that can be requested for a container."""

    HISTORY = "history"
    MATERIALS = "materials"
    REJECTS = "rejects"
    HOLDS = "holds"
    JOBS = "jobs"
    UPSTREAM_HISTORY = "upstream_history"
    DOWNSTREAM_REJECTS = "downstream_rejects"


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain. `columns` are expressions, with ` AS NAME` unless they are a plain column.

    `key` is the column of the id, or with `key_is_list` of several ids. `newest_of`: only the newest row, by
    `newest_by`, of each combination of these columns. Raise `version` when columns change, so that no cached result
    of the old ones is served. `sizes`: a batch is padded to one of these, so that the database parses few
    different statements. `ttl_s`: seconds that a result may be cached.
    """

    name: DomainName
    tables: str
    key: str
    columns: tuple[str, ...]
    ttl_s: int
    version: int = 1
    where: str = ""
    newest_of: tuple[str, ...] = ()
    newest_by: str = ""
    key_is_list: bool = False
    sizes: tuple[int, ...] = (1, 10, 100, 999)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns in a result."""
        return tuple(name_of(column) for column in self.columns)

    @property
    def selected(self) -> tuple[str, ...]:
        """The columns of the statement, dates last: a driver may lose the cells after a date it cannot decode."""
        return tuple(sorted(self.columns, key=lambda column: column.endswith(_DATES)))

    @property
    def batch(self) -> int:
        """The most ids per statement."""
        return self.sizes[-1]


def name_of(column: str) -> str:
    """The name that a column expression has in a result."""
    return column.rpartition(" ")[2].rpartition(".")[2]


def _of(alias: str, names: str) -> tuple[str, ...]:
    return tuple(f"{alias}.{name}" for name in names.split())


_CONTAINER = f"LEFT JOIN {OWNER}.DW_MES_CONTAINER c ON c.CONTAINERID ="
_WORKCENTER = f"LEFT JOIN {OWNER}.DW_MES_SPEC_WORKCENTER_V w ON w.SPEC ="
_REJECT_PARTS = ("REJECTQTY", "STANDBYQTY", "QTYTOPROCESS", "INPROCESSQTY", "PROCESSEDQTY")


def _sum(names: tuple[str, ...]) -> str:
    return " + ".join(f"NVL(r.{name}, 0)" for name in names)


_DOMAINS = (
    Domain(
        DomainName.HISTORY,
        f"{OWNER}.DW_MES_LOTWIPHISTORY h {_CONTAINER} h.CONTAINERID",
        "h.CONTAINERID",
        (
            *_of("h", "CONTAINERID WORKCENTERNAME EQUIPMENTID EQUIPMENTNAME SPECNAME TRACKINTIMESTAMP"),
            *_of("h", "TRACKOUTTIMESTAMP TRACKINQTY TRACKOUTQTY FINISHEDRUNCARD PJ_WORKORDER"),
            *_of("c", "CONTAINERNAME PJ_TYPE PJ_BOP PRODUCTLINENAME"),
            "c.FIRSTNAME AS WAFER_LOT_ID",
        ),
        ttl_s=300,
        where="h.EQUIPMENTID IS NOT NULL AND h.TRACKINTIMESTAMP IS NOT NULL",
    ),
    Domain(
        DomainName.MATERIALS,
        f"{OWNER}.DW_MES_LOTMATERIALSHISTORY m {_CONTAINER} m.CONTAINERID",
        "m.CONTAINERID",
        (
            "m.CONTAINERID",
            "c.CONTAINERNAME",
            *_of("m", "MATERIALPARTNAME MATERIALLOTNAME MATERIALDESCRIPTION QTYCONSUMED WORKCENTERNAME SPECNAME"),
            *_of("m", "EQUIPMENTNAME TXNDATE"),
        ),
        ttl_s=300,
        version=2,
    ),
    Domain(
        DomainName.REJECTS,
        f"{OWNER}.DW_MES_LOTREJECTHISTORY r {_CONTAINER} r.CONTAINERID {_WORKCENTER} r.SPECNAME",
        "r.CONTAINERID",
        (
            "r.CONTAINERID",
            "c.CONTAINERNAME",
            "w.WORKCENTERNAME AS WORKCENTERNAME",
            "w.WORK_CENTER_GROUP AS WORKCENTER_GROUP",
            *_of("r", "SPECNAME LOSSREASONNAME EQUIPMENTNAME REJECTCOMMENT"),
            "r.REJECTQTY AS REJECT_QTY",
            "r.STANDBYQTY AS STANDBY_QTY",
            "r.QTYTOPROCESS AS QTYTOPROCESS_QTY",
            "r.INPROCESSQTY AS INPROCESS_QTY",
            "r.PROCESSEDQTY AS PROCESSED_QTY",
            f"{_sum(_REJECT_PARTS)} AS REJECT_TOTAL_QTY",
            "r.DEFECTQTY AS DEFECT_QTY",
            "r.TXNDATE",
            "TRUNC(r.TXNDATE) AS TXN_DAY",
        ),
        ttl_s=300,
        version=2,
    ),
    Domain(
        DomainName.HOLDS,
        f"{OWNER}.DW_MES_HOLDRELEASEHISTORY h {_CONTAINER} h.CONTAINERID",
        "h.CONTAINERID",
        (
            "h.CONTAINERID",
            "c.CONTAINERNAME",
            *_of("h", "WORKCENTERNAME HOLDTXNDATE HOLDEMP HOLDEMPDEPTNAME HOLDREASONNAME HOLDCOMMENTS"),
            *_of("h", "RELEASETXNDATE RELEASEEMP RELEASECOMMENTS NCRID"),
            "CASE WHEN h.RELEASETXNDATE IS NULL THEN 'HOLD' ELSE 'RELEASED' END AS HOLD_STATUS",
            "ROUND((NVL(h.RELEASETXNDATE, SYSDATE) - h.HOLDTXNDATE) * 24, 2) AS HOLD_HOURS",
        ),
        ttl_s=180,
        version=2,
    ),
    Domain(
        DomainName.JOBS,
        f"{OWNER}.DW_MES_JOB j",
        "j.CONTAINERIDS",
        (
            *_of("j", "JOBID RESOURCEID RESOURCENAME JOBSTATUS JOBMODELNAME JOBORDERNAME CREATEDATE COMPLETEDATE"),
            *_of("j", "CAUSECODENAME REPAIRCODENAME SYMPTOMCODENAME CONTAINERIDS CONTAINERNAMES"),
        ),
        ttl_s=180,
        key_is_list=True,
        sizes=(1, 10, 50),
    ),
    Domain(
        DomainName.UPSTREAM_HISTORY,
        f"{OWNER}.DW_MES_LOTWIPHISTORY h {_WORKCENTER} h.SPECNAME",
        "h.CONTAINERID",
        (
            *_of("h", "CONTAINERID WORKCENTERNAME"),
            "w.WORK_CENTER_GROUP AS WORKCENTER_GROUP",
            *_of("h", "EQUIPMENTID EQUIPMENTNAME SPECNAME TRACKINTIMESTAMP TRACKINQTY"),
        ),
        ttl_s=300,
        newest_of=("h.CONTAINERID", "h.WORKCENTERNAME", "h.EQUIPMENTID"),
        newest_by="h.TRACKINTIMESTAMP",
    ),
    Domain(
        DomainName.DOWNSTREAM_REJECTS,
        f"{OWNER}.DW_MES_LOTREJECTHISTORY r {_WORKCENTER} r.SPECNAME",
        "r.CONTAINERID",
        (
            "r.CONTAINERID",
            "w.WORKCENTERNAME AS WORKCENTERNAME",
            "w.WORK_CENTER_GROUP AS WORKCENTER_GROUP",
            *_of("r", "LOSSREASONNAME EQUIPMENTNAME"),
            f"{_sum((*_REJECT_PARTS, 'DEFECTQTY'))} AS REJECT_TOTAL_QTY",
            "r.TXNDATE",
        ),
        ttl_s=300,
    ),
)

DOMAINS = {domain.name: domain for domain in _DOMAINS}
