"""Streams and downloads end as soon as their caller is no longer authorized."""

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from hub.web.auth import access_check
from hub.web.auth.security import COOKIE
from hub.web.routes import history
from tests.elapsed import takes_less_than
from tests.hub.web.parts import TOKENS, Site, serving
from tests.hub.web.routes.test_live import close_code, receive

pytestmark = pytest.mark.anyio

VIEWER, OPERATOR, ADMIN = (token["token"] for token in TOKENS)
STREAMS = ["/api/live", "/api/units/gate-a/live"]


def configure(site: Site, *tokens: dict[str, str]) -> None:
    """What a reload does to the tokens."""
    before = site.parts.config
    hub = type(before.hub).model_validate({"tokens": tokens})
    site.parts.config = before.model_copy(update={"hub": hub})


def with_role(token: dict[str, str], role: str) -> dict[str, str]:
    return {**token, "role": role}


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(
    ("token", "after", "code"),
    [
        (0, (TOKENS[1], TOKENS[2]), 4401),
        (1, (TOKENS[0], with_role(TOKENS[1], "viewer")), 4403),
        (2, (with_role(TOKENS[2], "operator"),), 4403),
        (1, ({**TOKENS[1], "token": "another-0123456789abcdef"},), 4401),
    ],
)
async def test_a_stream_ends_with_the_token_or_its_role(
    guarded: Site, path: str, token: int, after: tuple[dict[str, str], ...], code: int
) -> None:
    await guarded.poll()
    headers = {"authorization": f"Bearer {TOKENS[token]['token']}"}
    async with serving(guarded) as at, connect(f"ws://{at}{path}", additional_headers=headers) as websocket:
        await receive(websocket)
        configure(guarded, *after)
        with takes_less_than(10):  # looked at each second
            assert await close_code(websocket) == code


async def test_the_frame_after_a_fallen_role_is_not_sent(guarded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_check, "CHECK_INTERVAL_S", 3600.0)
    await guarded.poll()
    headers = {"authorization": f"Bearer {OPERATOR}"}
    async with (
        serving(guarded) as at,
        connect(f"ws://{at}/api/units/gate-a/live", additional_headers=headers) as websocket,
    ):
        assert (await receive(websocket))["raw_payload"] != ""
        configure(guarded, with_role(TOKENS[1], "viewer"))
        await guarded.poll()
        with takes_less_than(10), pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 4403


async def test_a_stream_goes_on_when_its_token_stays_or_rises(guarded: Site) -> None:
    await guarded.poll()
    headers = {"authorization": f"Bearer {VIEWER}"}
    async with (
        serving(guarded) as at,
        connect(f"ws://{at}/api/units/gate-a/live", additional_headers=headers) as websocket,
    ):
        await receive(websocket)
        configure(guarded, TOKENS[2], TOKENS[0])
        await guarded.poll()
        assert (await receive(websocket))["sequence"] == 2
        configure(guarded, with_role(TOKENS[0], "admin"))
        await guarded.poll()
        assert (await receive(websocket))["raw_payload"] == ""


@pytest.mark.parametrize("path", STREAMS)
async def test_a_logout_ends_the_streams_of_its_login_alone(guarded: Site, path: str) -> None:
    await guarded.poll()
    async with serving(guarded) as at, httpx.AsyncClient(base_url=f"http://{at}") as client:
        cookies = []
        for _ in range(2):
            client.cookies.clear()
            await client.post("/api/login", json={"token": VIEWER})
            cookies.append({"cookie": f"{COOKIE}={client.cookies[COOKIE]}"})
        async with (
            connect(f"ws://{at}{path}", additional_headers=cookies[0]) as other,
            connect(f"ws://{at}{path}", additional_headers=cookies[1]) as own,
        ):
            await receive(own)
            await receive(other)
            await client.post("/api/logout")
            assert await close_code(own) == 4401
            await guarded.poll()
            assert await receive(other)


async def test_a_login_follows_the_role_of_its_token(guarded: Site) -> None:
    async with guarded.client() as client:
        await client.post("/api/login", json={"token": OPERATOR})
        configure(guarded, with_role(TOKENS[1], "viewer"))
        assert (await client.get("/api/units")).status_code == 200
        assert (await client.post("/api/units/gate-a/poll")).status_code == 403
        configure(guarded, TOKENS[0])
        assert (await client.get("/api/units")).status_code == 401


async def test_streams_without_tokens_end_when_tokens_are_configured(site: Site) -> None:
    await site.poll()
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        await receive(websocket)
        configure(site, TOKENS[0])
        assert await close_code(websocket) == 4401


async def test_a_download_is_cut_off_when_its_token_goes(guarded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(*_: object, **__: object) -> AsyncIterator[str]:
        while True:
            yield "gate-a\n" * 1000
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(history, "export_rows", endless)
    async with serving(guarded) as at, httpx.AsyncClient(base_url=f"http://{at}") as client:
        headers = {"authorization": f"Bearer {VIEWER}"}
        with takes_less_than(10), pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", "/api/units/gate-a/history?format=csv", headers=headers) as answer:
                pieces = answer.aiter_bytes()
                await anext(pieces)
                configure(guarded, TOKENS[1])
                async for _ in pieces:
                    pass
