"""The sync lane with the real driver on the simulated Oracle, and on a real one where there is one."""

from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest
from pydantic import SecretStr

from hub.equipment.aggregate import aggregate
from hub.equipment.view import COLUMNS, parse_rows, select_sql
from hub.oracle.connection import Account, DeadlineExceeded, OracleRejected, OracleUnavailable, connector
from hub.oracle.lanes import Deadlines, SyncLane
from hub.simulators.oracle import Plant
from hub.simulators.oracle.encoding import Scalar
from tests.oracle_database import NAP, NAP_S, OracleDatabase, until_alone

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 18, 2, 46, 29)  # noqa: DTZ001 - the column has no zone


def lane_to(account: Account, deadlines: Deadlines | None = None) -> SyncLane:
    return SyncLane(connector(account), deadlines)


def cells(**values: Scalar) -> tuple[Scalar, ...]:
    return tuple(values.get(name) for name in COLUMNS)


async def test_the_view_is_read_by_name_with_its_mixed_case_columns(oracle: OracleDatabase) -> None:
    await oracle.load(Plant(2784, 2600).view.rows)
    lane = lane_to(oracle.account)
    rows = await lane.fetch(select_sql(oracle.view))
    clean, bad = parse_rows(rows, UTC)
    records, tally = aggregate(clean)
    assert {"Package", "Function"} <= set(rows.columns)
    assert (len(rows.rows), tally.rows, tally.machines, len(records)) == (2784, 2784, 2600, 2600)
    assert any(lot["PACKAGE"] for record in records for lot in record["LOT_DETAILS"])
    assert (bad.times, bad.quantities) == (0, 0)
    assert all(record["RESOURCEID"] == record["RESOURCEID"].strip() for record in records)
    assert (lane.counters.opened, lane.counters.closed) == (1, 1)
    await until_alone(oracle)


async def test_every_kind_of_cell_comes_through_and_padding_goes(oracle: OracleDatabase) -> None:
    await oracle.load(
        [
            cells(RESOURCEID="a1", EQUIPMENTASSETSSTATUS="設備-LOST", JOBID="j1", CREATEDATE=AT, Package="SOT-23"),
            cells(RESOURCEID="b2", EQUIPMENTID="", LOTTRACKINQTY_PCS=30784, LOTTRACKINTIME=AT),
            cells(RESOURCEID="c3", CREATEUSERNAME="王小明", PACKAGE_LF="長" * 500, LOTTRACKINQTY_PCS=-0.125),
        ]
    )
    rows = await lane_to(oracle.account).fetch(select_sql(oracle.view))
    place = {name: index for index, name in enumerate(rows.columns)}
    assert [row[place["RESOURCEID"]] for row in rows.rows] == ["a1".ljust(16), "b2".ljust(16), "c3".ljust(16)]
    first, second, third = parse_rows(rows, UTC)[0]
    assert (first["RESOURCEID"], first["EQUIPMENTASSETSSTATUS"], first["JOBID"]) == ("a1", "設備-LOST", "j1")
    assert (first["CREATEDATE"], first["PACKAGE"]) == (AT.replace(tzinfo=UTC), "SOT-23")
    assert (second["EQUIPMENTID"], second["LOTTRACKINQTY_PCS"]) == (None, 30784)
    assert (second["LOTTRACKINTIME"], second["CREATEDATE"]) == (AT.replace(tzinfo=UTC), None)
    assert (third["CREATEUSERNAME"], third["PACKAGE_LF"]) == ("王小明", "長" * 500)
    assert third["LOTTRACKINQTY_PCS"] == -0.125


async def test_the_dropped_columns_never_leave_the_database(oracle: OracleDatabase) -> None:
    rows = await lane_to(oracle.account).fetch(select_sql(oracle.view, ["CREATEUSER"]))
    assert "CREATEUSER" not in rows.columns
    assert len(rows.columns) == 33


async def test_a_wrong_password_is_a_rejection_and_stays_out_of_the_text(oracle: OracleDatabase) -> None:
    lane = lane_to(replace(oracle.account, password=SecretStr("wrong-tiger")))
    with pytest.raises(OracleRejected) as caught:
        await lane.fetch(select_sql(oracle.view))
    assert caught.value.code == "ORA-01017"
    assert "wrong-tiger" not in str(caught.value)
    assert lane.counters.open == 0
    await until_alone(oracle)


async def test_a_missing_view_is_a_rejection(oracle: OracleDatabase) -> None:
    lane = lane_to(oracle.account)
    with pytest.raises(OracleRejected) as caught:
        await lane.fetch(select_sql("NO_SUCH_VIEW"))
    assert caught.value.code == "ORA-00942"
    assert lane.counters.open == 0
    await until_alone(oracle)


async def test_a_service_that_the_listener_does_not_know_is_unavailable(oracle: OracleDatabase) -> None:
    address = oracle.account.dsn.rpartition("/")[0]
    lane = lane_to(replace(oracle.account, dsn=f"{address}/NO_SUCH_SERVICE"))
    with pytest.raises(OracleUnavailable) as caught:
        await lane.fetch(select_sql(oracle.view))
    assert caught.value.code == "ORA-12514"
    assert lane.counters.open == 0


async def test_a_slow_query_ends_at_the_query_deadline_and_leaves_nothing_behind(oracle: OracleDatabase) -> None:
    lane = lane_to(oracle.account, Deadlines(query_s=0.2))
    with anyio.fail_after(NAP_S), pytest.raises(DeadlineExceeded) as caught:
        await lane.fetch(NAP)
    assert caught.value.stage == "query"
    assert (lane.counters.terminated, lane.counters.open) == (1, 0)
    await until_alone(oracle)


async def test_cancelling_in_mid_query_leaves_at_once_and_leaves_nothing_behind(oracle: OracleDatabase) -> None:
    lane = lane_to(oracle.account)
    with anyio.fail_after(NAP_S), anyio.move_on_after(1):
        await lane.fetch(NAP)
    assert lane.counters.open == 0
    await until_alone(oracle)
