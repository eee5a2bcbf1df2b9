"""The control port of a simulated fleet: one JSON object per line in, one JSON object per line out.

`unit` is a number from 0, a list of numbers, or "all" (also when left out).

    {"unit": 3, "set": {"lp": 80.0}}              measure 80 dB from now on
    {"unit": 3, "set": {"over": true}}            force the overload flag; null lets the level decide; `under` too
    {"unit": 3, "set": {"items": {"Battery Level": "Low"}}}    change items, as on the meter's keys
    {"unit": [3, 4], "do": "Measure,Start"}       a command as from the keys     -> {"ok": true, "codes": [0, 0]}
    {"unit": "all", "fault": "mute"}              also "times": 1 (replies), "delay_s": 2.0 (for "late")
    {"unit": "all", "cross": 90.0}                jump to 90 dB; record when a line with it is first sent
    {"unit": [3, 4], "drop": true}                reset the running connections
    {"get": "crossings"}     -> {"crossings": [{"unit": 3, "lp": 90.0, "asked_at": …, "sent_at": … or null}]}
    {"get": "counters"}      -> {"counters": {"3": {…}}}, of the chosen units
    {"get": "totals"}        -> {"totals": {…}}: the counters of those units summed; gaps are the least
    {"get": "units"}         -> {"units": [{"unit": 3, "port": …, "fault": "none", "connected": true}]}

A command without a result answers {"ok": true}; one that is refused answers {"error": "…"} and changes nothing.
`asked_at` and `sent_at` are wall time in seconds.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from hub.simulators.nl43.faults import Fault
from hub.simulators.nl43.server import SimulatedMeter

_LONGEST_REQUEST = 1_000_000
_ACTIONS = ("set", "do", "fault", "cross", "drop")
_READABLE = ("crossings", "counters", "totals", "units")


class ControlError(ValueError):
    """A request that is refused; the message says what to write instead."""


def answer(meters: Sequence[SimulatedMeter], line: bytes | str) -> dict[str, Any]:
    """Execute one line; returns the answer."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ControlError("send one JSON object per line")
        chosen = _chosen(meters, request.get("unit", "all"))
        if "get" in request:
            return _get(chosen, request["get"])
        return _act(chosen, request)
    except json.JSONDecodeError as error:
        return {"error": f"not JSON: {error}"}
    except ControlError as error:
        return {"error": str(error)}


@asynccontextmanager
async def open_control(meters: Sequence[SimulatedMeter], host: str, port: int) -> AsyncIterator[int]:
    """Serve the control port while the block runs; yields the port. Raises OSError when it is in use."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            lines = BufferedByteReceiveStream(stream)
            try:
                while True:
                    line = await lines.receive_until(b"\n", _LONGEST_REQUEST)
                    await stream.send(json.dumps(answer(meters, line)).encode() + b"\n")
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            except anyio.DelimiterNotFound:
                await stream.send(b'{"error": "the line is too long"}\n')

    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


def _chosen(meters: Sequence[SimulatedMeter], unit: object) -> dict[int, SimulatedMeter]:
    if unit == "all":
        return dict(enumerate(meters))
    numbers: list[Any] = unit if isinstance(unit, list) else [unit]
    for number in numbers:
        if type(number) is not int or not 0 <= number < len(meters):
            raise ControlError(
                f"unit is a number from 0 to {len(meters) - 1}, a list of them, or 'all', not {number!r}"
            )
    return {number: meters[number] for number in numbers}


def _act(chosen: Mapping[int, SimulatedMeter], request: dict[str, Any]) -> dict[str, Any]:
    actions = [action for action in _ACTIONS if action in request]
    if len(actions) != 1:
        raise ControlError(f"a request has exactly one of {', '.join(_ACTIONS)}, or 'get'")
    [action] = actions
    value = request[action]
    match action:
        case "set":
            _set(chosen, value)
        case "do":
            return {"ok": True, "codes": [meter.press(str(value)) for meter in chosen.values()]}
        case "fault":
            _set_fault(chosen, value, request.get("times"), request.get("delay_s"))
        case "cross":
            level = _level(value)
            for meter in chosen.values():
                meter.cross(level)
        case "drop":
            for meter in chosen.values():
                meter.drop_session()
    return {"ok": True}


def _set(chosen: Mapping[int, SimulatedMeter], values: object) -> None:
    if not isinstance(values, dict) or values.keys() - {"lp", "over", "under", "items"}:
        raise ControlError(f"'set' needs an object with lp, over, under or items, not {values!r}")
    level = _level(values["lp"]) if "lp" in values else None
    flags = {name: values[name] for name in ("over", "under") if name in values}
    if any(flag not in (True, False, None) for flag in flags.values()):
        raise ControlError("over and under are true, false or null")
    items = values.get("items", {})
    if not isinstance(items, dict):
        raise ControlError("items is an object of names and values")
    for meter in chosen.values():
        for name in items:
            if not meter.meter.has_item(name):
                raise ControlError(f"the meter has no item {name!r}")
    for meter in chosen.values():
        if level is not None:
            meter.set_lp(level)
        for name, flag in flags.items():
            setattr(meter.meter, name, flag)
        for name, value in items.items():
            meter.put(name, str(value))


def _set_fault(
    chosen: Mapping[int, SimulatedMeter], fault: object, times: int | None, delay_s: float | None
) -> None:
    if fault not in list(Fault):
        raise ControlError(f"{fault!r} is not a fault; choose from {', '.join(Fault)}")
    if times is not None and (type(times) is not int or times < 1):
        raise ControlError(f"times is a number of replies from 1, not {times!r}")
    if delay_s is not None and (type(delay_s) not in (int, float) or delay_s < 0):
        raise ControlError(f"delay_s is a number of seconds, not {delay_s!r}")
    for meter in chosen.values():
        meter.set_fault(str(fault), times=times, delay_s=delay_s)


def _level(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -20 <= value <= 200:
        raise ControlError(f"a level is a number of dB from -20 to 200, not {value!r}")
    return float(value)


def _get(chosen: Mapping[int, SimulatedMeter], what: object) -> dict[str, Any]:
    match what:
        case "crossings":
            crossed = [(unit, meter.crossing) for unit, meter in chosen.items()]
            return {"crossings": [{"unit": unit, **crossing._asdict()} for unit, crossing in crossed if crossing]}
        case "counters":
            return {"counters": {str(unit): meter.counters.as_json() for unit, meter in chosen.items()}}
        case "totals":
            return {"totals": _totals([meter.counters.as_json() for meter in chosen.values()])}
        case "units":
            return {"units": [_unit(unit, meter) for unit, meter in chosen.items()]}
        case _:
            raise ControlError(f"{what!r} cannot be got; choose from {', '.join(_READABLE)}")


def _unit(unit: int, meter: SimulatedMeter) -> dict[str, Any]:
    return {"unit": unit, "port": meter.port, "fault": meter.fault, "connected": meter.has_session}


def _totals(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {}
    commands: Counter[str] = Counter()
    for counters in each:
        commands.update(counters["commands"])
    for name in each[0] if each else ():
        values = [counters[name] for counters in each if counters[name] is not None]
        if name.startswith("least"):
            totals[name] = min(values, default=None)
        elif name != "commands":
            totals[name] = sum(values)
    return {**totals, "commands": dict(commands)}
