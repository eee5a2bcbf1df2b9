"""Finds out what is the matter with one meter: asks it step by step, and says in words what was found."""

from collections.abc import Callable

import anyio

from hub.instruments.exchange import LinkDown, Priority
from hub.instruments.kind import Finding
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
from hub.nl43.config import NL43Config
from hub.nl43.fields import parse_dod
from hub.nl43.link import Link
from hub.readings.reading import Reading
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock

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
_NAME_ADVICE = "check the spelling of the name and the name server of this machine, or give the IP address"


async def probe(config: NL43Config, report: Callable[[Finding], None]) -> bool:
    """Ask a meter that no hub is talking to, over its only connection; True when nothing bad was found."""
    link = Link(config.host, config.port, Clock(), gap_s=config.poll.gap)
    findings: list[Finding] = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        report(finding)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        try:
            await _ask_all(link, found)
        except LinkDown as down:
            found(Finding("connection", False, f"{down.failure}: {down.detail}"))
            found(Finding("advice", None, _NAME_ADVICE if down.is_name_unknown else _ADVICE[down.failure]))
        tasks.cancel_scope.cancel()
    return all(finding.is_good is not False for finding in findings)


async def _ask_all(link: Link, found: Callable[[Finding], None]) -> None:
    reading = await link.request(DOD, parse_dod, Priority.OPERATOR)
    took_ms = reading.took_s * 1000
    if reading.value is None:
        found(Finding(DOD.line, False, f"refused: {reading.result.meaning}", took_ms))
    else:
        found(Finding(DOD.line, True, _levels(reading.value), took_ms))
    for command in _QUESTIONS:
        answer = await link.request(command, str, Priority.OPERATOR)
        found(_finding(command, answer.value, answer.result.meaning, answer.took_s * 1000))


def _finding(command: Command, value: str | None, meaning: str, took_ms: float) -> Finding:
    if value is None:
        return Finding(command.line, None, f"refused: {meaning}", took_ms)
    if command == SLEEP_MODE and value == "On":
        return Finding(command.line, False, "On: between measurements the meter will not be reachable", took_ms)
    return Finding(command.line, True, value, took_ms)


def _levels(reading: Reading) -> str:
    shown = ((name, getattr(reading, name.lower())) for name in ("Lp", "Leq", "Lmax", "Lmin"))
    return ", ".join(f"{name} {'-' if level is None else f'{level:.1f} dB'}" for name, level in shown)
