"""Finds out what is the matter with one meter: asks it step by step, and says in words what was found."""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import anyio

from hub.clock import Clock
from hub.nl43.commands import (
    BATTERY_LEVEL,
    CLOCK,
    DOD,
    FREQUENCY_WEIGHTING,
    FTP,
    MEASURE,
    SD_FREE,
    SERIAL_NUMBER,
    SLEEP_MODE,
    SYSTEM_VERSION,
    TIME_WEIGHTING,
    TYPE,
    Command,
)
from hub.nl43.fields import parse_dod
from hub.nl43.link import Link, LinkDown, Priority
from hub.nl43.reading import Reading
from hub.snapshot import Failure

_QUESTIONS = (
    TYPE, SERIAL_NUMBER, SYSTEM_VERSION, CLOCK, MEASURE, SLEEP_MODE, BATTERY_LEVEL, SD_FREE,
    FREQUENCY_WEIGHTING, TIME_WEIGHTING, FTP,
)  # fmt: skip

_ADVICE = {
    Failure.REFUSED: "switch TCP On in the meter (Web Off, USB Off, I/O-port communication Off); check the port",
    Failure.TIMEOUT: "the meter may be asleep, off, out of reach or talking to another client; check Sleep Mode",
    Failure.MUTE: "another client may hold the meter's only connection: stop it, wait 5 s, try again",
    Failure.PROTOCOL: "is this port really an NL-43 or NL-53 control port (2255)?",
    Failure.WEDGED: "the meter's control port is wedged: power-cycle the meter, the modem is not at fault",
}


class Finding(NamedTuple):
    """One step of a probe: `is_good` None is for information only."""

    step: str
    is_good: bool | None
    text: str
    took_ms: float | None = None


async def probe(host: str, port: int, gap_s: float = 1.0) -> AsyncIterator[Finding]:
    """Ask a meter that no hub is talking to. Its only connection is used for as long as this runs."""
    link = Link(host, port, Clock(), gap_s=gap_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        try:
            async for finding in _findings(link):
                yield finding
        except LinkDown as down:
            yield Finding("connection", False, f"{down.failure}: {down.detail}")
            yield Finding("advice", None, _ADVICE[down.failure])
        tasks.cancel_scope.cancel()


async def _findings(link: Link) -> AsyncIterator[Finding]:
    ask: Callable[..., Any] = link.request
    answer = await ask(DOD, parse_dod, Priority.OPERATOR)
    if answer.value is None:
        yield Finding(DOD.line, False, f"refused: {answer.result.meaning}", answer.took_s * 1000)
    else:
        yield Finding(DOD.line, True, _levels(answer.value), answer.took_s * 1000)
    for command in _QUESTIONS:
        answer = await ask(command, str, Priority.OPERATOR)
        yield _finding(command, answer.value, answer.result.meaning, answer.took_s * 1000)


def _finding(command: Command, value: str | None, meaning: str, took_ms: float) -> Finding:
    if value is None:
        return Finding(command.line, None, f"refused: {meaning}", took_ms)
    if command == SLEEP_MODE and value == "On":
        return Finding(command.line, False, "On: between measurements the meter will not be reachable", took_ms)
    return Finding(command.line, True, value, took_ms)


def _levels(reading: Reading) -> str:
    shown = ((name, getattr(reading, name.lower())) for name in ("Lp", "Leq", "Lmax", "Lmin"))
    return ", ".join(f"{name} {'-' if level is None else f'{level:.1f} dB'}" for name, level in shown)
