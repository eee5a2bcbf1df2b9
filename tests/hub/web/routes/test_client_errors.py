"""What a client asks wrongly is the client's error: 4xx that names the parameter, never a 5xx."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import httpx
import pytest
from sqlalchemy.exc import DataError, OperationalError, StatementError

from hub.equipment.feed import EquipmentFeed
from hub.runtime.clock import Clock
from hub.trace.cache import EventCache
from hub.trace.pipeline import TracePipeline
from hub.trace.sample import SampleHistory
from hub.web.http.problems import is_about_a_value
from hub.web.routes.app import create_app
from tests.hub.equipment.scripted import ScriptedView, machine
from tests.hub.web.parts import Site, until

pytestmark = pytest.mark.anyio


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


TIMES = [
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "1e20",
    "-1e300",
    "253402300800",
]
VALUES = [
    *TIMES,
    *(cursor(f"{at}|1") for at in TIMES),
    *(cursor(f"{at}|x") for at in TIMES),
    cursor("2026-01-01T00:00:00+00:00|\x00"),
    cursor("2026-01-01T00:00:00+00:00|-1"),
    "", "-1", "0", "1" * 400, "9" * 18, "9" * 15, "1e400", "NaN", "inf", "-0", "١", "1_0", "999999y", "0.0000001s",
    "9" * 300 + "s", "\x00", "a\x00b", "\n", "\u2028", "'", "%", "_", "\\", ",",
    ",".join(f"m{n}" for n in range(3000)),
    "[" * 200, "*" * 5000, "true", "null", "{}", "../..", "x" * 20000,
]  # fmt: skip
RAW = ["%ff", "%ED%A0%80", "%00", "%C0%80", "%F5%80%80%80", "+", "%", "%zz"]
BODIES: list[bytes] = [
    b"", b"null", b"[]", b"{}", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":1e999}', b'{"a":NaN}',
    b'{"token":"\\ud800"}', b'{"comment":"\\ud800"}', b'{"comment":"\\u0000"}', b'{"ids":["\\ud800","\\u0000",""]}',
    b'{"keep_alive":1e999}', b'{"keep_alive":"\\ud800"}',
    b'{"profile":"query_tool","params":{"lot_id":["\\ud800"]}}',
    b'{"profile":"query_tool","params":{"lot_id":["\\u0000"]}}',
    b'{"profile":"query_tool","params":{"\\ud800":["a"]}}',
    b'{"profile":"query_tool","params":{"resolve_type":["lot_id"]}}',
    b'{"profile":"mid_section_defect","params":{"start":"\\ud800","end":"2026-01-01"}}',
    b'{"profile":"mid_section_defect","params":{"start":"2026-01-01","end":"2026-01-02","station":"\\ud800"}}',
    b'{"profile":"mid_section_defect","params":{"start":"9999-12-31T23:59:59-12:00","end":"9999-12-31"}}',
    b'{"container_ids":["\\ud800"],"domains":["history"]}', b'{"container_ids":[1],"direction":"up"}',
]  # fmt: skip


@pytest.fixture
async def full(site: Site, tmp_path: Path) -> AsyncIterator[Site]:
    """A site with readings, an alert, a feed and a trace."""
    await site.poll(times=3)
    site.sample(80.0)
    await site.committed()
    clock = Clock()
    site.parts.feeds["fab"] = EquipmentFeed("fab", ScriptedView(machine(1)).source(), clock, 300.0)
    await site.parts.feeds["fab"].refresh()
    trace = site.parts.trace = TracePipeline(
        SampleHistory(), tmp_path / "trace", clock, UTC, EventCache(None, clock)
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trace.run)
        await until(lambda: trace.jobs.is_running)
        yield site
        tasks.cancel_scope.cancel()


def requests(schema: dict[str, Any]) -> Iterator[tuple[str, str, bytes | None]]:
    """Method, address and body: each parameter of each operation with every value, each body in turn."""
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            named = {"unit_id": "gate-a", "alert_id": "x", "job_id": "0", "resource_id": "x", "name": "x"}
            address = path.format_map({**named, "delivery_id": "x"})
            for parameter in operation.get("parameters", ()):
                values = [quote(value, safe="") for value in VALUES] + RAW
                if parameter["in"] == "query":
                    yield from ((method, f"{address}?{parameter['name']}={value}", None) for value in values)
                    twice = [(parameter["name"], "1"), (parameter["name"], "x")]
                    yield method, f"{address}?{urlencode(twice)}", None
                elif parameter["in"] == "path":
                    yield from (
                        (method, path.format_map({**named, "delivery_id": "x", parameter["name"]: value}), None)
                        for value in values
                        if len(value) < 3000
                    )
            if "requestBody" in operation:
                yield from ((method, address, body) for body in BODIES)


async def test_no_mistake_of_a_client_is_an_error_of_the_hub(full: Site) -> None:
    wrong: list[tuple[str, str, bytes | None, int]] = []
    asked = 0
    async with full.client() as client:
        for method, address, body in requests(create_app(full.parts).openapi()):
            headers = {} if body is None else {"content-type": "application/json"}
            try:
                answer = await client.request(method, address, content=body, headers=headers)
            except httpx.InvalidURL:
                continue
            asked += 1
            if answer.status_code >= 500:
                wrong.append((method, address[:200], body, answer.status_code))
            elif answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert len(answer.content) < 100_000
    assert wrong == []
    assert asked > 2000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StatementError("x", "s", None, OverflowError("date value out of range")), True),
        (StatementError("x", "s", None, UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates")), True),
        (StatementError("x", "s", None, TypeError("a bug")), False),
        (DataError("s", None, Exception("NUL")), True),
        (OperationalError("s", None, Exception("disk full")), False),
    ],
)
def test_a_value_that_cannot_be_held_is_not_a_failure_of_the_database(
    error: StatementError, expected: bool
) -> None:
    assert is_about_a_value(error) is expected


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "\xff", "", "x" * 1000, "127.0.0.1:99999999"])
async def test_no_host_header_crashes_a_route(guarded: Site, host: str) -> None:
    async with guarded.client() as client:
        for path in ("/api/units", "/api/units/gate-a/history?cursor=x", "/docs", "/", "/livez", "/openapi.json"):
            answer = await client.get(path, headers={b"host": host.encode("latin1")})
            assert answer.status_code < 500
        answer = await client.post("/api/login", json={"token": "x"}, headers={b"host": host.encode("latin1")})
        assert answer.status_code < 500
