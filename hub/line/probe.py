"""Diagnoses an instrument of lines: shows its lines and the values that the unit reads from them."""

from collections.abc import Callable, Iterator

import anyio

from hub.instruments.kind import Finding
from hub.line.config import LineConfig
from hub.line.fields import Form
from hub.line.instrument import form_of, metrics
from hub.line.lines import LineReader
from hub.links.dial import DialFailed, dial
from hub.links.stream_socket import Connection
from hub.runtime.clock import Clock

_ENOUGH = 5  # lines
_SHOWN = 120

_REFUSED = "check the port; a serial device server takes one connection, and another client may have it"
_NO_ANSWER = "check the address and the network, and whether the instrument is on"
_CLOSED = "another client may have the instrument's only connection: stop it, or release the unit, and try again"
_SILENT_ASKED = "check `ask`: the command, and whether it ends as the instrument expects, such as \\r\\n"
_SILENT = "does the instrument send by itself? If it has to be asked, write `ask`"
_NO_END = "check `end`: these bytes came, and no end of a line was among them"
_NO_MATCH = "no line gives a number: mend `pattern` or `columns` so that they describe the lines above"


async def probe(config: LineConfig, report: Callable[[Finding], None]) -> bool:
    """Connect, ask where the unit asks, and report up to five lines; True when one of them gives a number.

    No other client should be connected meanwhile: many instruments accept one connection only.
    """
    clock = Clock()
    began_s = clock.steady()
    try:
        connection: Connection = await dial(config.host, config.port, config.timeouts.connect)
    except DialFailed as failed:
        report(Finding("connection", False, str(failed)))
        report(Finding("advice", None, _REFUSED if failed.is_refused else _NO_ANSWER))
        return False
    report(Finding("connection", True, f"{config.host}:{config.port}", (clock.steady() - began_s) * 1000))
    try:
        return await _lines(config, connection, clock, report)
    finally:
        connection.close()


async def _lines(
    config: LineConfig, connection: Connection, clock: Clock, report: Callable[[Finding], None]
) -> bool:
    ask, within_s = config.ask_bytes, config.push_within if config.ask is None else config.timeouts.reply
    reader, form = LineReader(config.end_bytes, from_middle=ask is None), form_of(config)
    begun, found, matched = b"", 0, 0
    try:
        if ask is not None:
            await connection.send(ask)
            report(Finding("sent", None, f"{ask!r}"))
        with anyio.move_on_after(within_s):
            while found < _ENOUGH and (ask is None or not matched):
                sent_s = clock.steady()
                data = await connection.receive(4096)
                if not data:
                    raise ConnectionResetError
                begun = (begun + data)[-_SHOWN:]
                for line in reader.receive_data(data):
                    finding = _finding(config, form, line, (clock.steady() - sent_s) * 1000)
                    found, matched = found + 1, matched + bool(finding.is_good)
                    report(finding)
    except OSError:
        report(Finding("connection", False, "the instrument closed it"))
        if not begun:
            report(Finding("advice", None, _CLOSED))
            return False
    if not matched:
        for finding in _what_is_wrong(found, begun, within_s, ask is not None):
            report(finding)
    return matched > 0


def _what_is_wrong(found: int, begun: bytes, within_s: float, is_asked: bool) -> Iterator[Finding]:
    """After `found` lines of which none gives a number; `begun` are the last bytes that came."""
    if found:
        advice = _NO_MATCH
    elif begun:
        yield Finding("bytes", False, f"{begun!r}")
        advice = _NO_END
    else:
        yield Finding("lines", False, f"nothing came in {within_s:g} s")
        advice = _SILENT_ASKED if is_asked else _SILENT
    yield Finding("advice", None, advice)


def _finding(config: LineConfig, form: Form, line: str, took_ms: float) -> Finding:
    values = form(line)
    if values is None:
        return Finding("line", False, f"{line[:_SHOWN]!a} has not the expected form", took_ms)
    shown = (
        f"{name} {'-' if (value := values.get(name)) is None else metric.shown(value)}"
        for name, metric in metrics(config).items()
    )
    has_number = any(value is not None for value in values.values())
    return Finding("line", has_number, f"{line[:_SHOWN]!a}: {', '.join(shown)}", took_ms)
