"""`hub watch`: shows a live table of a running hub in a terminal, over its WebSocket."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake, InvalidStatus

_COLUMNS = ("unit", "name", "Lp dB", "Leq dB", "age s", "state", "alarm", "sequence", "quantities")
_STYLES = {"ok": "green", "stale": "yellow", "unreachable": "red", "off": "dim"}
_REDRAW_S = 1.0
_UNAUTHORIZED = 4401  # the close code for a token that is missing, unknown or removed


class WatchFailed(Exception):
    """The hub cannot be watched; the message says why and what to do."""


async def run_watch(url: str, units: str, token: str | None, as_json: bool, watch: bool = False) -> None:
    """Show the hub's messages until it stops; `watch` makes it poll the units faster. Raises WatchFailed."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise WatchFailed(f"{url} is not the address of a hub; write it as http://127.0.0.1:8480")
    scheme = "wss" if parts.scheme == "https" else "ws"
    live = f"{scheme}://{parts.netloc}/api/live?units={quote(units)}{'&watch=true' if watch else ''}"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        async with connect(live, additional_headers=headers, max_size=None) as socket:
            await _show(socket, as_json)
    except InvalidStatus as error:
        hint = "; put a token into HUB_TOKEN" if error.response.status_code in (401, 403) else ""
        raise WatchFailed(f"the hub at {url} answered {error.response.status_code}{hint}") from None
    except ConnectionClosed as closed:
        if closed.rcvd is not None and closed.rcvd.code == _UNAUTHORIZED:
            why = "needs a token" if token is None else "does not accept this token"
            raise WatchFailed(f"the hub at {url} {why}; put one of its hub.tokens into HUB_TOKEN") from None
        reason = closed.rcvd.reason if closed.rcvd is not None else ""
        raise WatchFailed(f"the hub ended the connection{': ' if reason else ''}{reason}") from None
    except BrokenPipeError:
        raise  # the output was closed, not the connection
    except (OSError, InvalidHandshake) as error:
        raise WatchFailed(f"no hub answers at {url}: {getattr(error, 'strerror', None) or error}") from None


async def _show(socket: Any, as_json: bool) -> None:
    if not as_json and sys.stdout.isatty():
        with Live(console=Console(), auto_refresh=False, screen=False) as screen:
            await show_table(socket, lambda table: screen.update(table, refresh=True))
        return
    async for message in socket:
        if as_json:
            print(message, flush=True)
        else:
            for row in _rows(json.loads(message)):
                print(_line(row), flush=True)


async def show_table(socket: Any, draw: Callable[[Table], None]) -> None:
    """Draw the table at every message, and once a second without one, because the ages of silent units grow."""
    rows: dict[str, tuple[dict[str, Any], float]] = {}  # each with its arrival
    while True:
        with anyio.move_on_after(_REDRAW_S):
            try:
                message = await socket.recv()
            except ConnectionClosedOK:
                return
            rows |= {row["unit_id"]: (row, anyio.current_time()) for row in _rows(json.loads(message))}
        now_s = anyio.current_time()
        draw(_table(_aged(row, now_s - came_s) for _, (row, came_s) in sorted(rows.items())))


def _rows(message: dict[str, Any]) -> list[dict[str, Any]]:
    """One mapping per unit from a message of arrays."""
    names = [name for name, column in message.items() if isinstance(column, list)]
    columns = (message[name] for name in names)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _aged(row: dict[str, Any], by_s: float) -> dict[str, Any]:
    return row if row["age_s"] is None else {**row, "age_s": row["age_s"] + by_s}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    def level(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    name = "" if row["name"] == row["unit_id"] else row["name"]
    values = row.get("quantities") or {}
    return (
        row["unit_id"], name, level(row["lp"]), level(row["leq"]), level(row["age_s"]), row["feed_status"],
        str(row["alarm"] or ""), "-" if row["sequence"] is None else str(row["sequence"]),
        ", ".join(f"{name} {'-' if value is None else f'{value:g}'}" for name, value in values.items()),
    )  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    return "  ".join(f"{name} {cell}" for name, cell in zip(_COLUMNS, _cells(row), strict=True) if cell)


def _table(rows: Iterable[dict[str, Any]]) -> Table:
    shown = list(rows)
    columns = len(_COLUMNS) if any(row.get("quantities") for row in shown) else len(_COLUMNS) - 1
    table = Table(*_COLUMNS[:columns], box=None, pad_edge=False)
    for row in shown:
        style = "bold red" if row["alarm"] else _STYLES.get(row["feed_status"])
        table.add_row(*map(escape, _cells(row)[:columns]), style=style)
    return table
