"""Webhooks over TLS: whose certificates are trusted."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerts.answers import Delivered, Retry
from alerts.delivery import Delivery
from alerts.rule import Receiver
from alerts.webhook import Webhook
from tests.alerts.fakes import START

pytestmark = pytest.mark.anyio

DELIVERY = Delivery("m1", "ops", "test", START, b"{}")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "receiver.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def connections() -> list[ByteStream]:
    """What the receiver was asked over."""
    return []


@pytest.fixture
async def url(certificate: Path, connections: list[ByteStream]) -> AsyncIterator[str]:
    """A receiver that shows this certificate."""

    async def serve(stream: ByteStream) -> None:
        connections.append(stream)
        async with stream:
            async for _ in stream:
                await stream.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(plain, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"https://127.0.0.1:{plain.extra(SocketAttribute.local_port)}/"
        tasks.cancel_scope.cancel()


async def test_an_authority_that_the_system_trusts_is_trusted(
    url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Webhook(Receiver(name="ops", url=url), "0.1") as hook:
        assert await hook.post(DELIVERY, START) == Delivered(204)


async def test_a_foreign_certificate_is_not(url: str) -> None:
    async with Webhook(Receiver(name="ops", url=url), "0.1") as hook:
        assert await hook.post(DELIVERY, START) == Retry("certificate not trusted")


async def test_a_connection_is_kept_over_tls_too(
    url: str, certificate: Path, connections: list[ByteStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Webhook(Receiver(name="ops", url=url), "0.1") as hook:
        for _ in range(5):
            assert await hook.post(DELIVERY, START) == Delivered(204)
            await anyio.sleep(0.01)  # whatever else TLS has to say
    assert len(connections) == 1
