"""The peers of the hub in the poll bench, in one process: simulated meters, a webhook receiver, and viewers.

Run as `python -m hub.bench.peer_process UNITS HANGING_SHARE`. It prints one JSON line with its ports, then reads
one JSON command per line from standard input and answers each with one line:

    {"do": "cross", "units": [0, 1], "lp": 90.0}    these units measure 90 dB from now on
    {"do": "quiet"}                                  all units measure 55 dB again
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
_ACCEPTED = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Peer:
    """What the meters sent, and what the receiver and the viewers got. Times are wall clock seconds."""

    meters: list[SimulatedMeter]
    crossed: dict[str, SimulatedMeter] = field(default_factory=dict)
    arrived: list[tuple[float, bytes, bytes]] = field(default_factory=list)  # wall time, head, body
    webhooks: int = 0
    bad_signatures: int = 0
    verifier: Webhook = field(default_factory=lambda: Webhook(SECRET))
    webhook_s: list[float] = field(default_factory=list)
    websocket_s: list[float] = field(default_factory=list)

    async def serve_webhooks(self, stream: SocketStream) -> None:
        """Answer webhook requests with as little work as possible, because this process shares the hub's machine.

        `quiet` parses and verifies them later.
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
                await stream.send(_ACCEPTED)

    def cross(self, units: Iterable[int], lp: float) -> None:
        """Make units measure a level `lp`, in dB, above the limit."""
        self.arrived.clear()
        self.crossed = {unit_id(unit): self.meters[unit] for unit in units}
        for meter in self.crossed.values():
            meter.cross(lp)

    def quiet(self) -> dict[str, int]:
        """Evaluate the webhooks of the last crossing, and make its units quiet again."""
        sent = {name: m.crossing.sent_at for name, m in self.crossed.items() if m.crossing is not None}
        sent_at = {name: at for name, at in sent.items() if at is not None}
        onsets = self._read_onsets()
        self.webhook_s += [onsets[name] - at for name, at in sent_at.items() if name in onsets]
        missing = len(sent_at.keys() - onsets.keys())
        for meter in self.crossed.values():
            meter.set_lp(QUIET_DB)
        self.crossed = {}
        return {"sent": len(sent_at), "without_webhook": missing}

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
        """Open a viewer, and record the age of each frame at its arrival, in seconds."""
        async with connect(url) as socket:
            async for message in socket:
                frame = json.loads(message)
                if frame.get("age_s") is not None and frame.get("timestamp"):
                    self.websocket_s.append(time.time() - _epoch(frame["timestamp"]))

    def report(self) -> dict[str, Any]:
        """Return the latencies, and reset them."""
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
        side = Peer(list(fleet.meters))
        for meter in side.meters[: round(units * hanging)]:
            meter.set_fault("mute")
        port = listener.extra(SocketAttribute.local_port)
        settle_interpreter()  # a garbage collection here would be measured as the hub's
        _print({"ports": fleet.ports, "url": f"http://127.0.0.1:{port}/hook"})
        async with anyio.create_task_group() as viewers:
            viewers.start_soon(listener.serve, side.serve_webhooks)
            async for line in anyio.wrap_file(sys.stdin):
                _print(_execute(side, json.loads(line), viewers))
            viewers.cancel_scope.cancel()


def _execute(side: Peer, command: dict[str, Any], viewers: TaskGroup) -> Any:
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


def _print(document: Any) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    anyio.run(
        _serve,
        int(sys.argv[1]),
        float(sys.argv[2]),
        backend_options={"use_uvloop": find_spec("uvloop") is not None},
    )
