"""Receivers that misbehave: each gets its message as often as it asks for, and none stands in another's way."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import ANY

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.whole.running_hub import eventually
from tests.whole.site import LOUD, QUIET, Site, open_site

pytestmark = pytest.mark.anyio

_MESSAGES = 7  # onset and clear of three alerts, and that the receiver `gone` is gone


@dataclass(slots=True)
class Strange:
    """A receiver that gives its n-th request the n-th answer, the last one for ever. None is no answer at all."""

    answers: list[bytes | None]
    port: int = 0
    requests: list[tuple[float, bytes]] = field(default_factory=list)

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            try:
                await self._answer(stream, await _request(stream))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _answer(self, stream: SocketStream, request: bytes) -> None:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append((anyio.current_time(), request))
        if answer is None:
            await anyio.sleep_forever()
        else:
            await stream.send(answer)

    def times(self) -> dict[str, list[float]]:
        """When each webhook-id came."""
        found: dict[str, list[float]] = {}
        for at, request in self.requests:
            [id_] = [
                line[11:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"webhook-id:")
            ]
            found.setdefault(id_.decode(), []).append(at)
        return found


async def _request(stream: SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    [length] = [int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if b"content-length" in line]
    while len(body) < length:
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


def answer(status: str, *headers: str) -> bytes:
    """An HTTP answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {status}", "content-length: 0", "connection: close", *headers, "", ""]).encode()


@asynccontextmanager
async def open_strange(answers: list[bytes | None]) -> AsyncIterator[Strange]:
    """Serve until the block is left."""
    strange = Strange(answers)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        strange.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, strange.serve)
            yield strange
            tasks.cancel_scope.cancel()


async def test_strange_receivers_delay_nobody_else(tmp_path: Path) -> None:
    ok = answer("204 No Content")
    async with (
        open_site(tmp_path, 1) as site,
        open_strange([None]) as hangs,
        open_strange([b""]) as resets,
        open_strange([ok]) as elsewhere,
        open_strange([answer("302 Found", f"location: http://127.0.0.1:{elsewhere.port}/")]) as redirects,
        open_strange([answer("429 Too Many Requests", "retry-after: 1"), ok]) as busy,
        open_strange([answer("410 Gone")]) as gone,
    ):
        _tell(site, hangs=hangs, resets=resets, redirects=redirects, busy=busy, gone=gone)
        async with site.run() as hub:
            began = anyio.current_time()
            for _ in range(3):
                await _swing(site)
            assert anyio.current_time() - began < 5

            await eventually(lambda: _states(site, "busy") == {"delivered": _MESSAGES}, 10)
            assert sorted(busy.times().values(), key=len) == [[ANY]] * (_MESSAGES - 1) + [[ANY, ANY]]
            [(refused_at, again_at)] = [times for times in busy.times().values() if len(times) == 2]
            assert 1.0 <= again_at - refused_at < 2.0

            assert elsewhere.requests == []
            assert len(gone.requests) == 1
            await eventually(lambda: set(_states(site, "gone")) == {"held"})
            held = await site.hears("alert.onset", "receiver-failing")
            assert "gone" in held.document["summary"]
            for strange in (hangs, resets, redirects):
                assert {len(times) for times in strange.times().values()} == {1}  # the next attempt is 5 s later
            for name in ("hangs", "resets", "redirects"):
                assert _states(site, name) == {"pending": _MESSAGES}
            waiting = (await hub.get("/api/deliveries?state=pending"))["items"]
            reasons = {one["receiver"]: one["last_attempt"]["error"] for one in waiting if one["last_attempt"]}
            assert reasons == {"resets": "closed without an answer", "redirects": "HTTP 302"}
            assert await hub.stop() == 0


async def test_what_failed_is_sent_again_the_same_to_the_byte_over_a_restart(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, open_strange(
        [answer("500 Internal Server Error"), answer("200 OK")]
    ) as ill:  # fmt: skip
        _tell(site, ill=ill)
        async with site.run() as hub:
            site.meters[0].set_lp(LOUD)
            await eventually(lambda: site.rows("SELECT 1 FROM attempts WHERE status = 500"))
            await eventually(lambda: _states(site, "ops") == {"delivered": 1})  # unmarked, it would be sent again
            await hub.kill()
        async with site.run() as hub:
            await eventually(lambda: _states(site, "ill") == {"delivered": 1}, 10)
            assert await hub.stop() == 0
        (first_s, first), (again_s, again) = ill.requests
        assert again_s - first_s > 4  # five seconds, less the jitter
        assert first.partition(b"\r\n\r\n")[2] == again.partition(b"\r\n\r\n")[2]
        assert len(ill.times()) == 1
        assert site.receiver.count == 1


async def test_what_waits_for_a_receiver_goes_to_its_new_address(tmp_path: Path) -> None:
    ok = answer("204 No Content")
    async with open_site(tmp_path, 1) as site, open_strange([None]) as old, open_strange([ok]) as new:
        _tell(site, moved=old)
        async with site.run() as hub:
            await _swing(site)
            await eventually(lambda: old.requests)
            site.config["alerts"]["receivers"][1]["url"] = f"http://127.0.0.1:{new.port}/"
            site.write()
            await eventually(lambda: _states(site, "moved") == {"delivered": 2}, 10)
            assert new.times().keys() >= old.times().keys()  # what hung at the old address keeps its id
            assert [len(times) for times in new.times().values()] == [1, 1]
            await _swing(site)
            await eventually(lambda: len(new.requests) == 4)
            assert await hub.stop() == 0
        assert len(old.requests) == 1


async def test_a_misconfigured_receiver_is_told_where_it_is_the_only_one(tmp_path: Path) -> None:
    wrote = b"invalid_payload for /hook/t0ken-hunter2, signed v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    head = f"HTTP/1.1 400 Bad Request\r\ncontent-length: {len(wrote)}\r\nconnection: close\r\n\r\n"
    async with open_site(tmp_path, 1) as site, open_strange([head.encode() + wrote]) as picky:
        site.config["alerts"]["receivers"][0]["url"] = f"http://127.0.0.1:{picky.port}/hook/t0ken-hunter2"
        async with site.run() as hub:
            assert (await hub.get("/healthz"))["checks"]["receivers"]["status"] == "ok"
            site.meters[0].set_lp(LOUD)
            await eventually(lambda: site.rows("SELECT 1 FROM attempts"))
            health = await hub.get("/healthz")
            assert health["status"] == "degraded"
            assert health["checks"]["receivers"] == {"status": "degraded", "receivers": 1, "failing": 1}
            [delivery] = (await hub.get("/api/deliveries"))["items"]
            assert delivery["last_attempt"]["status"] == 400
            assert delivery["last_attempt"]["answer"] == "invalid_payload for /hook/***, signed ***"
            assert "a receiver has not accepted any message yet" in "\n".join(hub.lines)
            assert "check that the receiver takes the format" in "\n".join(hub.lines)
            assert "hunter2" not in "\n".join(hub.lines)
            assert await hub.stop() == 0


async def test_the_only_receiver_that_is_gone_is_an_alert_that_can_be_seen(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, open_strange([answer("410 Gone")]) as gone:
        site.config["alerts"]["receivers"][0]["url"] = f"http://127.0.0.1:{gone.port}/"
        async with site.run() as hub:
            site.meters[0].set_lp(LOUD)
            await eventually(lambda: site.rows("SELECT 1 FROM alerts WHERE rule = 'receiver-failing'"))
            [alert] = (await hub.get("/api/alerts?rule=receiver-failing"))["items"]
            assert (alert["subject"], alert["state"]) == ("ops", "firing")
            assert "a receiver is failing" in "\n".join(hub.lines)
            assert (await hub.get("/healthz"))["status"] == "degraded"
            assert await hub.stop() == 0


def _tell(site: Site, **strange: Strange) -> None:
    """The receivers beside `ops`, each told of the rule `loud`."""
    alerts = site.config["alerts"]
    for name, one in strange.items():
        alerts["receivers"].append({"name": name, "url": f"http://127.0.0.1:{one.port}/"})
    alerts["rules"][0]["notify"] = ["ops", *strange]


async def _swing(site: Site) -> None:
    """One alert from onset to clear, heard by `ops` within a second each."""
    for level, type_ in ((LOUD, "alert.onset"), (QUIET, "alert.clear")):
        before = len(_of_type(site, type_))
        site.meters[0].set_lp(level)
        await eventually(_longer(site, type_, before), 1.5)


def _longer(site: Site, type_: str, before: int) -> Callable[[], bool]:
    return lambda: len(_of_type(site, type_)) > before


def _of_type(site: Site, type_: str) -> list[object]:
    return [one for one in site.told() if one["type"] == type_ and one["alert"]["rule"] == "loud"]


def _states(site: Site, receiver: str) -> dict[str, int]:
    rows = site.rows("SELECT state, count(*) AS n FROM deliveries WHERE receiver = ? GROUP BY 1", receiver)
    return {row["state"]: row["n"] for row in rows}
