import anyio
import httpx
import pytest

from alerts.config.secret import parse_secret
from alerts.delivery.message import headers
from hub.simulators.receiver import open_receiver
from tests.alerts.fakes import SECRET

pytestmark = pytest.mark.anyio


async def test_a_good_signature_is_kept_and_a_bad_one_refused() -> None:
    import time

    now = int(time.time())
    async with open_receiver(secret=SECRET) as receiver:
        good = headers("m1", now, b"{}", [parse_secret(SECRET)])
        unsigned = headers("m1", now, b"{}", [])
        async with httpx.AsyncClient() as client:
            for sent, body, status in ((good, b"{}", 204), (good, b"{ }", 401), (unsigned, b"{}", 401)):
                assert (await client.post(receiver.url, headers=sent, content=body)).status_code == status
    assert [got.id for got in receiver.received] == ["m1"]
    assert (receiver.count, receiver.refused, receiver.connections) == (1, 2, 1)
    assert receiver.received[0].document == {}


async def test_without_a_secret_every_message_is_stored_and_reported() -> None:
    seen: list[str] = []
    async with open_receiver(on_received=lambda got: seen.append(got.id)) as receiver:
        async with httpx.AsyncClient() as client:
            for number in range(3):
                await client.post(receiver.url, headers={"webhook-id": f"m{number}"}, content=b"x" * 100_000)
        with anyio.fail_after(60):
            await receiver.wait_for(3)
    assert sorted(seen) == ["m0", "m1", "m2"]
    assert all(not got.is_signed and len(got.body) == 100_000 for got in receiver.received)


async def test_a_port_in_use_is_an_error() -> None:
    async with open_receiver() as receiver:
        with pytest.raises(OSError, match="in use"):
            async with open_receiver(port=receiver.port):
                pass
