"""One POST of a delivery to its receiver, and what its answer means."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from alerts.config.receiver_fields import check_headers
from alerts.config.rule import Receiver
from alerts.config.secret import parse_secret
from alerts.delivery.answers import Outcome, Retry, judge
from alerts.delivery.excerpt import Excerpts
from alerts.delivery.message import headers
from alerts.delivery.sender import NotSent, Sender
from alerts.model.delivery import Delivery

Post = Callable[[Delivery, datetime], Awaitable[Outcome]]
"""Posts a delivery once, at this wall time."""


class Webhook:
    """Posts to one receiver over connections that are kept. A context manager that closes them."""

    def __init__(self, receiver: Receiver, version: str) -> None:
        """`version` is the hub's. Raises ValueError, without the secret, for what cannot be used."""
        given = receiver.secret if isinstance(receiver.secret, tuple) else (receiver.secret,)
        secrets = [secret.get_secret_value() for secret in given if secret is not None]
        self._fixed = {"user-agent": f"monitor-hub/{version}"}
        self._fixed |= {name.lower(): value for name, value in receiver.headers.items()}
        try:
            self._keys = [parse_secret(secret) for secret in secrets]
            check_headers(receiver.headers)
            self._sender = Sender(
                receiver.url,
                timeout_s=receiver.timeout,
                allow_private=receiver.allow_private,
                proxy=receiver.proxy,
                ca_file=receiver.ca_file,
                client_cert=receiver.client_cert,
            )
        except (ValueError, UnicodeError) as error:
            raise ValueError(f"receiver {receiver.name}: {error}") from None
        self._excerpts = Excerpts(receiver.url, receiver.headers, secrets)

    async def __aenter__(self) -> Self:
        await self._sender.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._sender.__aexit__(kind, error, traceback)

    async def post(self, delivery: Delivery, at: datetime) -> Outcome:
        """Send once. What goes wrong on the way is a Retry; its error names the stage, never address or body."""
        signed = headers(delivery.id, int(at.timestamp()), delivery.body, self._keys)
        try:
            answer = await self._sender.send(
                {"content-type": delivery.content_type} | self._fixed | signed, delivery.body
            )
        except NotSent as error:
            return Retry(str(error))
        return judge(answer.status, answer.headers.get("retry-after"), at, self._excerpts.excerpt(answer.body))


@asynccontextmanager
async def open_webhook(webhook: Webhook) -> AsyncIterator[Post]:
    """Post with `webhook` while the block lasts."""
    async with webhook:
        yield webhook.post
