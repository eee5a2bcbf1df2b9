"""The options of a simulated meter: its state at the start, and its behaviour on the wire."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from hub.simulators.nl43.waveform import Waveform, constant

Prompt = Literal["none", "after_response", "before_result", "both"]
Segmentation = Literal["whole", "lines", "bytes"]
SecondConnection = Literal["hang", "accept_mute", "refuse"]
GapRule = Literal["ignore", "R+0004", "drop"]


@dataclass(frozen=True)
class MeterOptions:
    """The options of a meter; by default one on a LAN that answers at once.

    - `waveform`: the level it measures; `running`: it measures already when it is switched on
    - `prompt`: where `$` stands; `segmentation`: one segment per reply, line or byte; `delay_s`: least and most
    - `second_connection`: the answer to a connect while the only slot is in use; a real meter lets it hang.
      The slot stays in use for `slot_release_s` after a close
    - `gap`: the answer to a command less than 0.2 s (`DOD?`: 1 s) after the previous reply
    - `drd_interval_s`, `drd_late_lines`: cadence of the stream, and lines that still come after it is stopped
    - `ftp_port`: None without FTP, 0 for any free port
    - `over_db`, `under_db`: from where the flags are set
    - `wall`: the meter's own clock at the start, its local time; None for the time of this machine in UTC
    - `clock`: steady seconds; everything but delays and the stream's cadence follows it
    """

    waveform: Waveform = field(default_factory=lambda: constant(45.8))
    running: bool = False
    model: str = "NL-43"
    serial_number: str = "00412345"
    items: tuple[tuple[str, str], ...] = ()
    """Plain items that start with another value, such as `("Battery Level", "Low")`."""
    prompt: Prompt = "after_response"
    segmentation: Segmentation = "whole"
    delay_s: tuple[float, float] = (0.0, 0.0)
    second_connection: SecondConnection = "hang"
    slot_release_s: float = 0.0
    gap: GapRule = "ignore"
    drd_interval_s: float = 0.1
    drd_late_lines: int = 2
    ftp_port: int | None = None
    over_db: float = 140.0
    under_db: float = 20.0
    seed: int = 0
    wall: datetime | None = None
    clock: Callable[[], float] = time.monotonic
