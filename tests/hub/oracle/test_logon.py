"""After a refused logon every lane of the account waits."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from hub.oracle.connection import Account, OracleRejected, OracleUnavailable
from hub.oracle.logon import DENIALS, Logon, LogonDenied, Logons
from hub.oracle.oracle_lanes import OracleLanes
from hub.simulators.oracle import OracleServer, open_oracle

pytestmark = pytest.mark.anyio


class Moment:
    """A clock that moves by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Database:
    """Refuses with a code, or lets in."""

    def __init__(self, code: str | None = "ORA-01017") -> None:
        self.code = code
        self.logons = 0
        self.takes_s = 0.0

    async def connect(self) -> str:
        self.logons += 1
        await anyio.sleep(self.takes_s)
        if self.code:
            raise OracleRejected(self.code, "no")
        return "session"


async def denied(connect: Callable[[], Coroutine[Any, Any, str]]) -> LogonDenied:
    with pytest.raises(LogonDenied) as caught:
        await connect()
    return caught.value


@pytest.mark.parametrize("code", sorted(DENIALS))
async def test_after_a_refusal_no_lane_tries_for_a_pause_that_doubles(code: str) -> None:
    now, database = Moment(), Database(code)
    logon = Logon("reader", 300.0, now)
    one, other = logon.through(database.connect, "sync"), logon.through(database.connect, "bulk")
    first = await denied(one)
    assert (first.code, first.retry_after_s, first.lane) == (code, 300.0, "sync")
    assert first.text.startswith("the database refuses user reader: ")
    now.at += 299
    assert (await denied(other)).retry_after_s == 1.0
    assert database.logons == 1
    now.at += 1
    assert (await denied(other)).retry_after_s == 600.0
    assert database.logons == 2


async def test_a_short_interval_waits_a_minute_all_the_same_and_no_wait_is_longer_than_a_day() -> None:
    now, database = Moment(), Database()
    logon = Logon("reader", 1.0, now)
    connect = logon.through(database.connect, "sync")
    waits = []
    for _ in range(14):
        waits.append((await denied(connect)).retry_after_s)
        now.at += waits[-1]
    assert waits[:3] == [60.0, 120.0, 240.0]
    assert waits[-2:] == [86_400.0, 86_400.0]


async def test_many_lanes_that_start_together_cost_one_logon() -> None:
    database = Database()
    database.takes_s = 0.02
    logon = Logon("reader", 300.0)
    async with anyio.create_task_group() as tasks:
        for lane in range(6):
            tasks.start_soon(denied, logon.through(database.connect, str(lane)))
    assert (database.logons, logon.denials) == (1, 1)


async def test_a_good_logon_lets_all_in_at_once_and_forgets_the_refusals() -> None:
    now, database = Moment(), Database()
    logon = Logon("reader", 300.0, now)
    connect = logon.through(database.connect, "sync")
    await denied(connect)
    now.at += 300
    database.code = None
    assert await connect() == "session"
    assert logon.denials == 0
    database.takes_s = 0.05
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(connect)
            await anyio.wait_all_tasks_blocked()
            assert database.logons == 6, "none waits for another"
    database.code, database.takes_s = "ORA-28001", 0.0
    assert (await denied(connect)).retry_after_s == 300.0


async def test_a_person_may_ask_for_one_logon() -> None:
    database = Database()
    logon = Logon("reader", 300.0, Moment())
    connect = logon.through(database.connect, "sync")
    await denied(connect)
    logon.allow_one()
    assert (await denied(connect)).retry_after_s == 600.0
    await denied(connect)
    assert database.logons == 2


async def test_a_database_that_is_away_is_no_refusal() -> None:
    logon = Logon("reader", 300.0)

    async def connect() -> str:
        raise OracleUnavailable("DPY-6005", "gone")

    for _ in range(3):
        with pytest.raises(OracleUnavailable):
            await logon.through(connect, "sync")()


def test_an_account_is_one_over_all_lanes_and_another_password_makes_another() -> None:
    logons = Logons()
    account = Account("h:1/X", "reader", SecretStr("one"))
    first = logons.of(account, 300.0)
    assert logons.of(Account("h:1/X", "READER", SecretStr("one"), program="other"), 5.0) is first
    assert logons.of(Account("h:1/X", "reader", SecretStr("two")), 300.0) is not first


async def ask_all(lanes: OracleLanes) -> None:
    for ask in (
        lambda: lanes.sync.fetch("SELECT 1 FROM DUAL"),
        lambda: lanes.bulk.read("SELECT 1 FROM DUAL", {}, no_rows),
        lanes.ping,
    ):
        with pytest.raises(LogonDenied):
            await ask()


async def no_rows(rows: object) -> bool:
    return True


def lanes_to(server: OracleServer, now: Moment) -> OracleLanes:
    account = Account(server.dsn, "reader", SecretStr("wrong"))
    return OracleLanes(account, logon=Logon("reader", 1.0, now))


async def test_an_hour_of_asking_over_every_lane_costs_six_logons_and_opens_no_breaker() -> None:
    now = Moment()
    async with open_oracle() as server:
        lanes = lanes_to(server, now)
        for _ in range(360):
            await ask_all(lanes)
            now.at += 10
        assert server.counters.failed_logins == 6
        assert [lane.breaker.opened for lane in lanes.every] == [0, 0, 0]
        assert [lane.counters.open for lane in lanes.every] == [0, 0, 0]
