"""A database of the release before is taken over with what it still had to send."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial

import anyio
import pytest
import sqlalchemy as sa
from sqlmodel import Session

from alerts.config.rule import Receiver
from alerts.delivery.dispatcher import Dispatcher
from alerts.delivery.webhook import Webhook, open_webhook
from alerts.model.clock import SystemClock
from alerts.model.delivery import Notice, delivery_id
from alerts.model.document import decode
from alerts.store.pending import read_members
from alerts.store.rows import transition_values
from alerts.store.stored import encode_alert
from hub.database.database import Database, open_database
from hub.simulators.receiver import open_receiver
from hub.store.schema import upgrade
from tests.alerts.delivery.formats.examples import NOTICES
from tests.alerts.delivery.formats.test_hub import OF_DIGESTS, OF_NOTICES
from tests.alerts.fakes import SECRET, START

pytestmark = pytest.mark.anyio

DIGEST = "0f9d9f5e-37a5-5e0b-8d52-0d5a8f3b6a01"


@pytest.fixture
async def old(database_url: str) -> AsyncIterator[Database]:
    """A database as the release before left it: tables, and nothing in them."""
    async with open_database(database_url) as database:
        await database.write(lambda session: upgrade(session, "0006"))
        yield database


def insert(session: Session, into: str, **values: object) -> None:
    table = sa.Table(into, sa.MetaData(), autoload_with=session.connection())
    session.connection().execute(table.insert().values(**values))


def insert_transition(session: Session, notice: Notice) -> None:
    values = transition_values(notice, encode_alert(notice.transition.alert, 1e9))
    insert(session, "transitions", **{name: value for name, value in values.items() if name != "document"})


def insert_delivery(session: Session, notice: Notice, body: bytes | None, **fate: object) -> str:
    sequence = notice.transition.alert.sequence
    row: Mapping[str, object] = {
        "id": delivery_id(notice.alert_id, sequence, "ops"),
        "receiver": "ops",
        "type": str(notice.transition.type),
        "created_at": START + timedelta(seconds=sequence),
        "alert_id": notice.alert_id,
        "sequence": sequence,
        "state": "pending",
        "attempts": 0,
        "body": None if body is None else body.decode(),
    }
    insert(session, "deliveries", **{**row, **fate})
    return str(row["id"])


async def sent_after_the_upgrade(database: Database, count: int) -> dict[str, bytes]:
    """What the receiver gets of a hub of this release, by webhook-id."""
    await database.write(upgrade)
    clock = SystemClock()
    async with open_receiver(secret=SECRET) as receiver:
        config = Receiver.model_validate({"name": "ops", "url": receiver.url, "secret": SECRET})
        open_post = partial(open_webhook, Webhook(config, "0.1"))
        dispatcher = Dispatcher(
            config, open_post, database.of("deliveries"), clock, "another name", lambda name, failing, reason: None
        )
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(dispatcher.run)
                await receiver.wait_for(count)
                tasks.cancel_scope.cancel()
        assert receiver.refused == 0
        return {received.id: received.body for received in receiver.received}


async def test_what_the_release_before_had_to_send_is_sent_as_it_was_written(old: Database) -> None:
    def fill(session: Session) -> dict[str, bytes]:
        expected = {}
        for (notice, _), body in zip(NOTICES, OF_NOTICES, strict=True):
            insert_transition(session, notice)
            attempts = 1 if notice.transition.alert.sequence == 2 else 0
            expected[insert_delivery(session, notice, body, attempts=attempts)] = body
        return expected

    expected = await old.write(fill)
    assert await sent_after_the_upgrade(old, len(expected)) == expected


async def test_what_the_release_before_had_not_written_yet_is_written_as_it_would_have_been(old: Database) -> None:
    def fill(session: Session) -> dict[str, bytes]:
        (delivered, _), *others = NOTICES
        insert_transition(session, delivered)
        insert_delivery(session, delivered, OF_NOTICES[0], state="delivered")
        expected = {}
        for (notice, _), body in zip(others, OF_NOTICES[1:], strict=True):
            insert_transition(session, notice)
            begin, name, _ = body.partition(b'"decision_to_commit":')
            expected[insert_delivery(session, notice, None)] = begin + name + b"null}}"
        return expected

    expected = await old.write(fill)
    assert await sent_after_the_upgrade(old, len(expected)) == expected


async def test_a_digest_of_the_release_before_can_still_be_split(old: Database) -> None:
    def fill(session: Session) -> None:
        for (notice, _), body in zip(NOTICES[:4], OF_NOTICES[:4], strict=True):
            insert_transition(session, notice)
            insert_delivery(session, notice, body, state="digested", digest_id=DIGEST)
        digest = {"id": DIGEST, "receiver": "ops", "type": "digest", "created_at": START, "sequence": 0}
        insert(session, "deliveries", **digest, state="pending", attempts=1, body=OF_DIGESTS[0].decode())

    await old.write(fill)
    await old.write(upgrade)
    members = await old.write(lambda session: read_members(session, DIGEST))
    assert [member.body for member in members] == OF_NOTICES[:4]
    assert [decode(member.document) for member in members] == [json.loads(body) for body in OF_NOTICES[:4]]


async def test_what_was_delivered_gets_no_document(old: Database) -> None:
    def fill(session: Session) -> None:
        insert_transition(session, NOTICES[0][0])
        insert_delivery(session, NOTICES[0][0], OF_NOTICES[0], state="delivered")

    await old.write(fill)
    await old.write(upgrade)
    documents = sa.text("SELECT document FROM transitions")
    assert await old.read(lambda session: session.execute(documents).scalars().all()) == [None]
