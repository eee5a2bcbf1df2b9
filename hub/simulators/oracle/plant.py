"""The plant in the database: the equipment status view, DUAL, and the history behind it."""

import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hub.simulators.oracle.answers import Answer, Binds, Column, Done, OraError, ResultSet
from hub.simulators.oracle.encoding import Scalar
from hub.simulators.oracle.history import History
from hub.simulators.oracle.select_list import Item, plain, select_list, tables
from hub.simulators.oracle.tables import Table

if TYPE_CHECKING:
    from hub.simulators.oracle.session import Session

VIEW = "DW_MES_EQUIPMENTSTATUS_WIP_V"
_SIZES = {"CREATEUSER": 255, "TECHNICIANUSER": 255, "PACKAGE_LF": 4000, "WAFERLOTID_PREFIX": 160}
_SIZES |= {"LFOPTIONID": 4000, "WIREDESCRIPTION": 4000, "WAFERMIL": 3062, "LOTTRACKINEMPLOYEE": 255}
_NAMES = (
    "EQUIPMENTID OBJECTCATEGORY EQUIPMENTASSETSSTATUS EQUIPMENTASSETSSTATUSREASON JOBORDER JOBMODEL JOBSTAGE JOBID "
    "JOBSTATUS CREATEDATE CREATEUSERNAME CREATEUSER TECHNICIANUSERNAME TECHNICIANUSER SYMPTOMCODE CAUSECODE "
    "REPAIRCODE RUNCARDLOTID Package PACKAGE_LF Function TYPE BOP WAFERLOTID WAFERPN WAFERLOTID_PREFIX SPEC "
    "LFOPTIONID WIREDESCRIPTION WAFERMIL LOTTRACKINQTY_PCS LOTTRACKINTIME LOTTRACKINEMPLOYEE"
)


def _column(name: str) -> Column:
    if name == "JOBID":
        return Column(name, "CHAR", 16)
    if name in ("CREATEDATE", "LOTTRACKINTIME"):
        return Column(name, "DATE")
    return Column(name, "NUMBER") if name == "LOTTRACKINQTY_PCS" else Column(name, size=_SIZES.get(name, 40))


VIEW_COLUMNS = (Column("RESOURCEID", "CHAR", 16, nullable=False), *map(_column, _NAMES.split()))
"""The 34 columns of the view, in its order."""

STATUSES = (
    ("PRD", "Production RUN", 55),
    ("SBY", "Wait for material", 15),
    ("UDT", "Vacuum low", 8),
    ("SDT", "Preventive maintenance", 7),
    ("EGT", "Engineering trial", 5),
    ("NST", "No plan", 5),
    ("設備-RUN", "借機生產", 2),
    ("設備-LOST", "設備遺失", 2),
    ("SCRAP", "已報廢", 1),
)
_EPOCH = datetime(2026, 3, 18, 8)  # noqa: DTZ001 - the plant's local time has no zone


class Plant:
    """`rows` view rows over `machines` machines, the same for the same seed; change it while the server runs.

    `tables` may be added to by name (upper case, without schema). `clock` gives SYSDATE.
    """

    def __init__(
        self,
        rows: int = 27,
        machines: int = 20,
        seed: int = 1,
        history: History | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._random = random.Random(seed)
        self.view = Table(VIEW_COLUMNS, self._generate(rows, machines))
        self.history = history or History()
        self.clock = clock
        self.tables: dict[str, Table] = {VIEW: self.view}

    @property
    def machines(self) -> list[str]:
        """The ids that have rows now, in view order."""
        return list(dict.fromkeys(str(row[0]) for row in self.view.rows))

    def set_status(self, resource_id: str, status: str | None, reason: str | None = None) -> int:
        """Give every row of a machine another status; returns how many rows it has."""
        changes: dict[str, Scalar] = {"EQUIPMENTASSETSSTATUS": status, "EQUIPMENTASSETSSTATUSREASON": reason}
        return self.view.update("RESOURCEID", resource_id, changes)

    def resize(self, rows: int, machines: int | None = None) -> None:
        """Generate the view anew; 0 rows empties it."""
        self.view.replace(self._generate(rows, rows if machines is None else machines))

    def answer(self, sql: str, binds: Binds, session: "Session") -> Answer:
        """Selects from the view, DUAL, `tables` and the history; ALTER SESSION and PL/SQL blocks do nothing."""
        verb = plain(sql).split(maxsplit=1)[0].upper()
        if verb not in ("SELECT", "WITH"):
            if verb in ("ALTER", "BEGIN", "SET"):
                return Done(transaction=session.in_transaction)
            return OraError(1031, "insufficient privileges")
        names = tables(sql)
        try:
            for name in names:
                if name in self.tables:
                    return self.tables[name].select(sql)
            found = self.history.answer(sql, binds)
            if found is None and names[:1] == ("DUAL",):
                found = self._dual(sql, session)
        except OraError as error:
            return error
        return found if found is not None else OraError(942, "table or view does not exist")

    def _dual(self, sql: str, session: "Session") -> ResultSet:
        pairs = [self._expression(item, session) for item in select_list(sql)]
        return ResultSet([column for column, _ in pairs], [tuple(value for _, value in pairs)])

    def _expression(self, item: Item, session: "Session") -> tuple[Column, Scalar]:
        text = item.text.upper()
        if re.match(r"SYSTIMESTAMP|CURRENT_TIMESTAMP", text):
            return Column(item.name, "TIMESTAMP"), self.clock()
        if re.match(r"SYSDATE|CURRENT_DATE", text):
            return Column(item.name, "DATE"), self.clock()
        if number := re.match(r"-?\d+(\.\d+)?", text):
            return Column(item.name, "NUMBER"), float(number[0]) if number[1] else int(number[0])
        return Column(item.name, size=128), session.user.upper()

    def _generate(self, rows: int, machines: int) -> list[tuple[Scalar, ...]]:
        """A machine has one row, or one per lot; some lots repeat, lack a quantity or a time."""
        draw = self._random
        lots = [1] * min(rows, machines)
        for _ in range(rows - len(lots) if lots else 0):
            lots[draw.randrange(len(lots))] += 1
        return [row for number, count in enumerate(lots) for row in self._machine(number, count)]

    def _machine(self, number: int, lots: int) -> list[tuple[Scalar, ...]]:
        draw = self._random
        (status, reason, _) = draw.choices(STATUSES, [weight for *_, weight in STATUSES])[0]
        common: dict[str, Scalar] = {
            "RESOURCEID": f"4880168{number:09x}",
            "EQUIPMENTID": f"{draw.choice(('GWBK', 'GDBA', 'GMLD', 'GWSR'))}-{number:04d}",
            "OBJECTCATEGORY": "WAFERSORT" if number % 7 == 0 else "ASSEMBLY",
            "EQUIPMENTASSETSSTATUS": status,
            "EQUIPMENTASSETSSTATUSREASON": reason,
        }
        if status in ("UDT", "SDT"):
            common |= {
                "JOBORDER": f"MO-{number:05d}",
                "JOBMODEL": "DB-REPAIR",
                "JOBSTAGE": "Repair",
                "JOBID": f"5000168{number:09x}",
                "JOBSTATUS": "Open",
                "CREATEDATE": _EPOCH - timedelta(minutes=draw.randrange(5000)),
                "CREATEUSERNAME": "王小明",
                "CREATEUSER": f"user{number % 50:03d}",
                "TECHNICIANUSERNAME": "陳技師",
                "TECHNICIANUSER": f"tech{number % 20:03d}",
                "SYMPTOMCODE": "S-VAC",
                "CAUSECODE": "C-SEAL",
            }
        if lots == 1 and status not in ("PRD", "設備-RUN", "EGT"):
            return [_row(common)]
        return [_row(common | self._lot(number, lot)) for lot in range(lots)]

    def _lot(self, number: int, lot: int) -> dict[str, Scalar]:
        draw = self._random
        package = draw.choice(("SOT-23", "SOD-123", "DFN1006", "SMA"))
        return {
            "RUNCARDLOTID": f"GA2603{number:04d}-A00-{lot + 1:03d}",
            "Package": package,
            "PACKAGE_LF": f"{package}/OPT{draw.randrange(1, 5)}",
            "Function": draw.choice(("TVS/ESD", "Zener", "Schottky")),
            "TYPE": f"PX{draw.randrange(7000, 7100)}",
            "BOP": f"ECA{draw.randrange(10, 20)}",
            "WAFERLOTID": f"WLOT-{number:04d}#A1P",
            "WAFERPN": f"WAF{number:06d}_CP",
            "WAFERLOTID_PREFIX": "WLOT",
            "SPEC": draw.choice(("Epoxy D/B", "Wire Bond", "Mold", "Trim/Form")),
            "LFOPTIONID": f"OPTION {draw.randrange(1, 4)}",
            "WIREDESCRIPTION": "GOLD WIRE/0.8mil",
            "WAFERMIL": "11/*11mil",
            "LOTTRACKINQTY_PCS": draw.randrange(1000, 60000) if draw.random() > 0.05 else None,
            "LOTTRACKINTIME": _EPOCH - timedelta(seconds=draw.randrange(200_000)) if draw.random() > 0.05 else None,
            "LOTTRACKINEMPLOYEE": f"OP{draw.randrange(1, 300):04d}",
        }


def _row(values: dict[str, Scalar]) -> tuple[Scalar, ...]:
    return tuple(values.get(column.name) for column in VIEW_COLUMNS)
