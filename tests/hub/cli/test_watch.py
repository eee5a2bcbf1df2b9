import io
import json
from collections.abc import AsyncIterator, Mapping

import anyio
import pytest
from rich.console import Console
from rich.table import Table
from websockets.asyncio.server import ServerConnection, serve

from hub.cli.watch import WatchFailed, run_watch, show_table
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio

MESSAGE = {
    "t": "2026-03-18T22:14:07.120Z",
    "unit_id": ["gate-a", "gate-b"],
    "name": ["Gate [A]", "gate-b"],
    "sequence": [7, None],
    "lp": [62.4, None],
    "leq": [61.0, None],
    "age_s": [0.2, None],
    "feed_status": ["ok", "unreachable"],
    "alarm": ["critical", None],
}

PATHS: list[str] = []


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def one_message(connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path not in ("/api/live?units=gate-%2A", "/api/live?units=gate-%2A&watch=true"):
            await connection.close(4404, "no such path")
            return
        PATHS.append(connection.request.path)
        await connection.send(json.dumps({"heartbeat": True}))
        await connection.send(json.dumps(MESSAGE))
        await connection.close(1012, "the hub stops")

    async with serve(one_message, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def test_without_a_terminal_each_change_is_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with anyio.fail_after(60):
        await _watch(url, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ") == [
        "unit gate-a", "name Gate [A]", "Lp dB 62.4", "Leq dB 61.0", "age s 0.2", "state ok",
        "alarm critical", "sequence 7",
    ]  # fmt: skip
    assert lines[1] == "unit gate-b  Lp dB -  Leq dB -  age s -  state unreachable  sequence -"


async def test_json_is_the_hubs_own(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    await _watch(url, as_json=True)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == MESSAGE


async def test_only_with_watch_the_hub_is_asked_to_poll_faster(url: str) -> None:
    PATHS.clear()
    await _watch(url, as_json=True)
    await _watch(url, as_json=True, watch=True)
    assert [path.endswith("&watch=true") for path in PATHS] == [False, True]


@virtual
async def test_the_table_shows_the_name_as_it_is_written() -> None:
    tables: list[Table] = []
    with anyio.move_on_after(0.5):
        await show_table(OneMessage(), tables.append)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables[0])
    assert "Gate [A]" in console.export_text()


class OneMessage:
    """A socket that brings one message, then nothing more."""

    def __init__(self, more: Mapping[str, object] | None = None) -> None:
        self.messages = [json.dumps({**MESSAGE, **(more or {})})]

    async def recv(self) -> str:
        if not self.messages:
            await anyio.sleep_forever()
        return self.messages.pop()


@virtual
@pytest.mark.parametrize("own", [[{"temperature": 21.3, "wind": None}, None], None])
async def test_quantities_have_a_column_where_a_unit_has_any(own: list[dict[str, float] | None] | None) -> None:
    tables: list[Table] = []
    with anyio.move_on_after(0.5):
        await show_table(OneMessage({} if own is None else {"quantities": own}), tables.append)
    cells = {str(column.header): list(column.cells) for column in tables[0].columns}
    assert cells.get("quantities") == (None if own is None else ["temperature 21.3, wind -", ""])


@virtual
async def test_the_age_of_a_silent_unit_goes_on() -> None:
    tables: list[Table] = []
    with anyio.move_on_after(5.5):
        await show_table(OneMessage(), tables.append)
    ages = [list(table.columns[4].cells) for table in tables]
    assert ages == [[age, "-"] for age in ("0.2", "1.2", "2.2", "3.2", "4.2", "5.2")]


async def test_a_hub_that_is_not_there_is_one_line() -> None:
    with pytest.raises(WatchFailed, match="no hub answers at"):
        await run_watch("http://127.0.0.1:1", "*", None, False)
    with pytest.raises(WatchFailed, match="write it as"):
        await run_watch("gate-a", "*", None, False)


async def _watch(url: str, as_json: bool, watch: bool = False) -> None:
    try:
        await run_watch(url, "gate-*", None, as_json, watch)
    except WatchFailed as error:
        assert str(error) in ("the hub ended the connection: the hub stops",)


@pytest.mark.parametrize(("token", "said"), [(None, "needs a token"), ("wrong", "does not accept this token")])
async def test_a_hub_that_refuses_the_caller_says_where_the_token_goes(token: str | None, said: str) -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.close(4401, "send Authorization: Bearer TOKEN, or log in at POST /api/login")

    async with serve(refuse, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(WatchFailed) as failed:
            await run_watch(f"http://127.0.0.1:{port}", "*", token, False)
    assert said in str(failed.value)
    assert "HUB_TOKEN" in str(failed.value)
    assert "Bearer" not in str(failed.value)
