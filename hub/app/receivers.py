"""Runs a supervised dispatcher for each configured webhook receiver."""

from collections.abc import Iterable
from functools import partial

import structlog

from alerts.config.rule import Receiver
from alerts.delivery.answers import advice
from alerts.delivery.dispatcher import Dispatcher, Failure, OnTrouble
from alerts.delivery.webhook import Webhook, open_webhook
from alerts.model.delivery import Delivery
from alerts.store.database import Database
from hub.runtime.clock import Clock
from hub.runtime.supervisor import Supervisor

log = structlog.get_logger()

_ENABLE = "it is disabled; once it accepts messages again, replay its held deliveries, or change its configuration"


class Receivers:
    """Starts, replaces and stops dispatchers; `dispatchers` changes with them."""

    def __init__(
        self, sinks: Supervisor, database: Database, clock: Clock, hub: str, version: str, on_trouble: OnTrouble
    ) -> None:
        self.dispatchers: dict[str, Dispatcher] = {}
        self._sinks = sinks
        self._database = database
        self._clock = clock
        self._hub = hub
        self._version = version
        self._on_trouble = on_trouble

    async def configure(self, receivers: Iterable[Receiver]) -> None:
        """Run a dispatcher for each of these receivers; that of an unchanged receiver is not restarted."""
        wanted = {receiver.name: receiver for receiver in receivers}
        for name, dispatcher in list(self.dispatchers.items()):
            if wanted.get(name) != dispatcher.receiver:
                await self._sinks.remove(_child(name))
                self.dispatchers.pop(name).close()
        for name, receiver in wanted.items():
            if name not in self.dispatchers:
                self._start(receiver)

    @property
    def children(self) -> list[str]:
        """The names of the dispatchers among the sinks."""
        return [_child(name) for name in self.dispatchers]

    def stop(self) -> None:
        """Make every dispatcher end once it has tried the deliveries that are due now."""
        for dispatcher in self.dispatchers.values():
            dispatcher.stop()

    def _start(self, receiver: Receiver) -> None:
        webhook = Webhook(receiver, self._version)
        dispatcher = Dispatcher(
            receiver,
            partial(open_webhook, webhook),
            self._database,
            self._clock,
            self._hub,
            self._trouble,
            on_failure=_log_failure,
            on_dead=_log_dead,
        )
        self.dispatchers[receiver.name] = dispatcher
        self._sinks.spawn(_child(receiver.name), dispatcher.run, essential=True)

    def _trouble(self, receiver: str, failing: bool, reason: str | None) -> None:
        if failing:
            others = len(self.dispatchers) - 1  # with none, only the log, /healthz and the page report it
            log.error(
                "a receiver is failing",
                receiver=receiver,
                error=reason,
                other_receivers=others,
                what_to_do=_ENABLE
                if self.dispatchers[receiver].is_held
                else f"`hub webhook test {receiver}` tries it out",
            )
        else:
            log.info("a receiver works again", receiver=receiver)
        self._on_trouble(receiver, failing, reason)


def _log_failure(failure: Failure) -> None:
    name, outcome = failure.receiver, failure.outcome
    log.warning(
        "a receiver did not accept a message"
        if failure.has_worked
        else "a receiver has not accepted any message yet",
        receiver=name,
        error=outcome.error,
        answer=outcome.answer,
        what_to_do=f"{advice(outcome.status)}; `hub webhook test {name}` tries it out",
    )


def _log_dead(delivery: Delivery, error: str) -> None:
    log.error(
        "a delivery is dead; replay it once the receiver accepts messages",
        receiver=delivery.receiver,
        delivery=delivery.id,
        type=delivery.type,
        alert=delivery.alert_id,
        error=error,
    )


def _child(name: str) -> str:
    return f"receiver/{name}"
