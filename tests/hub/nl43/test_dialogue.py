"""What arrives round a command and its reply, in virtual time."""

import pytest

from hub.nl43.commands import DOD, MEASURE, Command
from hub.nl43.dialogue import Dialogue, ExchangeFailed
from hub.nl43.fields import parse_dod, parse_run_state
from hub.nl43.holdback import Holdback
from hub.readings.snapshot import Failure
from tests.hub.nl43.scripted_meter import DOD_LINE
from tests.hub.nl43.wire import Arrivals, Wire
from tests.virtual_time import VirtualClock, virtual

STOP = b"R+0000\r\nStop\r\n"
START = b"R+0000\r\nStart\r\n"
STALE_DOD = b"R+0000\r\n" + DOD_LINE.replace(" 45.8", " 99.9").encode() + b"\r\n"


class Line:
    """A dialogue over a wire on which, per command in turn, the given bytes arrive; a usual reply takes 0.2 s."""

    def __init__(self, *arrivals: Arrivals) -> None:
        clock = VirtualClock()
        self.replies = iter(arrivals)
        self.sent: list[str] = []
        self.wire = Wire(clock, self._on_command)
        holdback = Holdback(3.0)
        for _ in range(3):
            holdback.accepted(0.2)
        self.dialogue = Dialogue(self.wire, clock, holdback, 3.0)

    def _on_command(self, command: str) -> None:
        self.sent.append(command)
        for after_s, data in next(self.replies):
            self.wire.arrives(after_s, data)

    async def run_state(self) -> str:
        answer = await self.dialogue.ask(MEASURE, parse_run_state)
        assert answer.value is not None
        return answer.value.value

    async def failure(self, command: Command = MEASURE) -> ExchangeFailed:
        with pytest.raises(ExchangeFailed) as caught:
            await self.dialogue.ask(command, parse_dod if command == DOD else parse_run_state)
        return caught.value


@virtual
async def test_what_waits_before_a_command_is_dropped_and_counted() -> None:
    line = Line([(0.2, START)])
    line.wire.arrives(0.0, STOP)
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == len(STOP)


@virtual
async def test_a_command_waits_until_the_meter_is_quiet() -> None:
    line = Line([(0.2, START)])
    line.wire.arrives(0.0, b"R+0000\r\nSt")
    line.wire.arrives(0.25, b"op\r\n")
    line.wire.arrives(0.5, STOP)
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == 2 * len(STOP)


@virtual
async def test_a_prompt_and_other_noise_keep_nobody_waiting() -> None:
    line = Line([(0.2, START)], [(0.2, STOP)])
    line.wire.arrives(0.0, b"$\x00\x11\xff\xf1")
    assert await line.run_state() == "Start"
    line.wire.arrives(0.0, b"$ ")
    assert await line.run_state() == "Stop"
    assert line.dialogue.stale_bytes == 0


@pytest.mark.parametrize("between_s", [0.0, 0.05, 0.28])
@virtual
async def test_a_copy_that_comes_while_a_reply_is_held_back_does_no_harm(between_s: float) -> None:
    line = Line([(0.01, STOP), (0.01 + between_s, STOP)], [(0.2, START)])
    assert await line.run_state() == "Stop"
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == len(STOP)


@pytest.mark.parametrize("before_s", [0.0, 0.1, 0.19])
@pytest.mark.parametrize("stale", [STOP, b"R+0004\r\n", STALE_DOD], ids=["Stop", "refusal", "levels"])
@virtual
async def test_a_reply_that_comes_ahead_of_the_true_one_is_not_taken_for_it(stale: bytes, before_s: float) -> None:
    line = Line([(before_s, stale), (0.2, START)], [(0.2, START)])
    assert (await line.failure()).failure is Failure.PROTOCOL
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == len(stale) + len(START)


@virtual
async def test_a_copy_of_the_reply_before_is_found_out_by_the_true_one() -> None:
    line = Line([(0.2, STOP)], [(0.1, STOP), (0.25, START)], [(0.2, START)])
    assert await line.run_state() == "Stop"
    assert (await line.failure()).is_ambiguous
    assert await line.run_state() == "Start"


@virtual
async def test_a_reply_that_is_late_for_its_command_is_not_the_answer_to_the_next() -> None:
    line = Line([(3.2, STOP)], [(0.2, START)])
    assert (await line.failure()).failure is Failure.MUTE
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == len(STOP)


@pytest.mark.parametrize(
    "bad", [b"R+0000\r\nStrat\r\n", b"Stop\r\n", STALE_DOD, b"R+0000\r\nR+0000\r\n", b"R+0000\r\nSto"]
)
@virtual
async def test_after_a_bad_reply_the_same_connection_is_good_for_the_next_command(bad: bytes) -> None:
    line = Line([(0.2, bad)], [(0.2, START)])
    failed = await line.failure()
    assert (failed.failure, failed.is_lost) == (Failure.PROTOCOL, False)
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == len(bad)


@pytest.mark.parametrize("every_s", [0.1, 0.4, 1.0])
@virtual
async def test_a_meter_that_keeps_speaking_unasked_is_lost(every_s: float) -> None:
    line = Line(*[[(0.2, START)]] * 50)
    for number in range(600):
        line.wire.arrives(number * every_s, b"163, 43.7\r\n")
    with pytest.raises(ExchangeFailed, match="nobody asked for") as caught:
        for _ in range(50):
            try:
                await line.run_state()
            except ExchangeFailed as failed:
                if failed.is_lost:
                    raise
    assert len(line.sent) <= 20
    assert caught.value.failure is Failure.PROTOCOL


@virtual
async def test_a_flood_is_neither_kept_nor_waited_for() -> None:
    line = Line()
    for _ in range(20_000):
        line.wire.arrives(0.0, b"x" * 4096)
    with pytest.raises(ExchangeFailed, match="nobody asked for"):
        await line.run_state()
    assert line.sent == []


@virtual
async def test_an_end_of_the_connection_is_found_before_a_command_is_sent() -> None:
    line = Line()
    line.wire.arrives(0.0, STOP)
    line.wire.arrives(0.0, b"")
    failed = await line.failure()
    assert (failed.failure, failed.is_lost, line.sent) == (Failure.MUTE, True, [])
    line.dialogue.close()
    assert line.dialogue.stale_bytes == len(STOP)


@virtual
async def test_a_reply_counts_though_the_meter_closes_after_it() -> None:
    line = Line([(0.2, START), (0.2, b"")])
    assert await line.run_state() == "Start"
    assert (await line.failure()).is_lost


@virtual
async def test_a_greeting_is_dropped_before_the_first_command() -> None:
    line = Line([(0.2, START)])
    line.wire.arrives(0.1, b"Moxa NPort 5110\r\nconnected\r\n")
    line.wire.arrives(0.3, STOP)
    await line.dialogue.settle(0.25)
    assert await line.run_state() == "Start"
    assert line.dialogue.stale_bytes == len(b"Moxa NPort 5110\r\nconnected\r\n" + STOP)
