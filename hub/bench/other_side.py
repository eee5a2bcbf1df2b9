"""The other side of the poll bench, in a process of its own: meters, a webhook receiver, and viewers.

Runs as `python -m hub.bench.other_side UNITS HANGING_SHARE`. It prints one JSON line with its ports, then takes
one JSON command per line on standard input and answers each with one line:

    {"do": "cross", "units": [0, 1], "lp": 90.0}    those units hear 90 dB from now on
    {"do": "quiet"}                                  all units hear 55 dB again
    {"do": "watch", "urls": ["ws://…"]}              open a viewer each
    {"do": "report"}                                 latencies since the last report, seconds
"""

import json
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from standardwebhooks import Webhook, WebhookVerificationError
from websockets.asyncio.client import connect

from hub.bench.timing import SECRET, unit_id
from hub.runtime.interpreter import settle_interpreter
from hub.simulators.nl43 import FleetOptions, MeterOptions, open_fleet
from hub.simulators.nl43.server import SimulatedMeter
from hub.simulators.nl43.waveform import constant

QUIET_DB = 55.0
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class OtherSide:
    """What was sent and what came back. Times are the wall clock of this machine, seconds."""

    meters: list[SimulatedMeter]
    crossed: dict[str, SimulatedMeter] = field(default_factory=dict)
    arrived: list[tuple[float, bytes, bytes]] = field(default_factory=list)  # wall time, head, body
    webhooks: int = 0
    bad_signatures: int = 0
    verifier: Webhook = field(default_factory=lambda: Webhook(SECRET))
    webhook_s: list[float] = field(default_factory=list)
    websocket_s: list[float] = field(default_factory=list)

    async def serve_webhooks(self, stream: SocketStream) -> None:
        """Answer requests with as little work as can be: they are read and verified later, in `quiet`.

        The receiver shares the machine with the hub, and its work is not the hub's.
        """
        received = BufferedByteReceiveStream(stream)
        async with stream:
            while True:
                try:
                    head = await received.receive_until(b"\r\n\r\n", 1 << 16)
                    length = _LENGTH.search(head)
                    body = await received.receive_exactly(int(length[1]) if length else 0)
                except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                    return
                self.arrived.append((time.time(), head, body))
                await stream.send(_TAKEN)

    def cross(self, units: Iterable[int], lp: float) -> None:
        """Let units pass the limit."""
        self.arrived.clear()
        self.crossed = {unit_id(unit): self.meters[unit] for unit in units}
        for meter in self.crossed.values():
            meter.cross(lp)

    def quiet(self) -> dict[str, int]:
        """Account for the last crossing, and be quiet again."""
        sent = {name: m.crossing.sent_at for name, m in self.crossed.items() if m.crossing is not None}
        told = {name: at for name, at in sent.items() if at is not None}
        onsets = self._read_onsets()
        self.webhook_s += [onsets[name] - at for name, at in told.items() if name in onsets]
        missing = len(told.keys() - onsets.keys())
        for meter in self.crossed.values():
            meter.set_lp(QUIET_DB)
        self.crossed = {}
        return {"sent": len(told), "without_webhook": missing}

    def _read_onsets(self) -> dict[str, float]:
        onsets: dict[str, float] = {}
        for at, head, body in self.arrived:
            document = json.loads(body)
            if document["type"] == "alert.onset":
                onsets.setdefault(document["alert"]["subject"], at)
            lines = (line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
            try:
                self.verifier.verify(body, {name.lower(): value for name, value in lines}, json_parse=False)
            except WebhookVerificationError:
                self.bad_signatures += 1
        self.webhooks += len(self.arrived)
        self.arrived.clear()
        return onsets

    async def watch(self, url: str) -> None:
        """Be a viewer: note how old each frame is when it arrives."""
        async with connect(url) as socket:
            async for message in socket:
                frame = json.loads(message)
                if frame.get("age_s") is not None and frame.get("timestamp"):
                    self.websocket_s.append(time.time() - _epoch(frame["timestamp"]))

    def report(self) -> dict[str, Any]:
        """Hand the latencies over and begin anew."""
        found = {
            "webhook_s": self.webhook_s,
            "websocket_s": self.websocket_s,
            "webhooks": self.webhooks,
            "bad_signatures": self.bad_signatures,
        }
        self.webhook_s, self.websocket_s = [], []
        return found


def _epoch(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


async def _serve(units: int, hanging: float) -> None:
    options = FleetOptions(
        units, meter=lambda unit: MeterOptions(waveform=constant(QUIET_DB), running=True, seed=unit)
    )
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, open_fleet(options) as fleet:
        side = OtherSide(list(fleet.meters))
        for meter in side.meters[: round(units * hanging)]:
            meter.set_fault("mute")
        port = listener.extra(SocketAttribute.local_port)
        settle_interpreter()  # a collection here would be measured as the hub's
        _say({"ports": fleet.ports, "url": f"http://127.0.0.1:{port}/hook"})
        async with anyio.create_task_group() as viewers:
            viewers.start_soon(listener.serve, side.serve_webhooks)
            async for line in anyio.wrap_file(sys.stdin):
                _say(_obey(side, json.loads(line), viewers))
            viewers.cancel_scope.cancel()


def _obey(side: OtherSide, command: dict[str, Any], viewers: TaskGroup) -> Any:
    match command["do"]:
        case "cross":
            side.cross(command["units"], command["lp"])
        case "quiet":
            return side.quiet()
        case "watch":
            for url in command["urls"]:
                viewers.start_soon(side.watch, url)
        case "report":
            return side.report()
    return {}


def _say(document: Any) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    anyio.run(
        _serve,
        int(sys.argv[1]),
        float(sys.argv[2]),
        backend_options={"use_uvloop": find_spec("uvloop") is not None},
    )
