"""A meter of a few lines for the tests of the link: every command is answered by a function, and written down."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

MISSING = ",".join(["  -.-"] * 14 + ["-", "-"])
DOD_LINE = ",".join([" 45.8", *["  -.-"] * 13, "0", "0"]) + f",{MISSING}" * 3

Script = Callable[[str], bytes | None]


def obey(command: str) -> bytes | None:
    """Answer as a healthy, stopped meter; None is silence."""
    answers = {"DOD?": DOD_LINE, "Measure?": "Stop", "Sleep Mode?": "Off"}
    line = answers.get(command, "A")
    return b"R+0000\r\n" + (b"" if line is None else f"{line}\r\n".encode())


@dataclass
class ScriptedMeter:
    """What the meter saw. `open_now` and `most_open` count sockets; `overlaps` commands sent before a reply."""

    script: Script = obey
    port: int = 0
    commands: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    def note(self) -> None:
        """Wake whoever waits for something to happen."""
        self.changed.set()
        self.changed = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, looked at after every event of the meter."""
        with anyio.fail_after(60):
            while not condition():
                await self.changed.wait()

    async def serve(self, stream: SocketStream) -> None:
        """Talk to one client until it goes."""
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        self.note()
        buffer = b""
        try:
            async with stream:
                while True:
                    buffer += await stream.receive()
                    while b"\n" in buffer:
                        line, buffer = buffer.split(b"\n", 1)
                        command = line.strip().decode()
                        self.commands.append(command)
                        self.times.append(anyio.current_time())
                        answer = self.script(command)
                        if answer is not None:
                            await stream.send(answer)
                        self.note()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            self.open_now -= 1
            self.note()


@asynccontextmanager
async def open_scripted_meter(script: Script = obey) -> AsyncIterator[ScriptedMeter]:
    """Serve on a free port of loopback."""
    meter = ScriptedMeter(script)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        meter.port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, meter.serve)
        yield meter
        tasks.cancel_scope.cancel()
