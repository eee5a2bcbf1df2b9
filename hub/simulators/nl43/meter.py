"""The meter without I/O: it gets a command line and the time, and returns a result code and a data line."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hub.simulators.nl43.items import ALIASES, DISPLAYED, plain_items, preset_s
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.run import Run, Totals
from hub.simulators.nl43.waveform import Waveform, constant

OK, UNKNOWN, PARAMETER, DESIGNATION, STATUS = range(5)
_MISSING = "  -.-"
_DOD_SUB_OFF = ",".join([_MISSING] * 14 + ["-", "-"])
_DRD_SUB_OFF = "," + ",".join([_MISSING] * 6 + ["-", "-"])
_SUB_BELOW_DB = 3.0
_DISPLAY_KEYS = tuple(f"display {name}".lower() for name in DISPLAYED)
_SUB_KEYS = tuple(f"measure display sub channel {number}" for number in (1, 2, 3))
_PERCENTILE_KEYS = tuple(f"percentile {slot}" for slot in range(1, 6))
_CLOCK_FORMAT = "%Y/%m/%d %H:%M:%S"


class Answer(NamedTuple):
    """`code` of `R+000x`, the data line of an accepted request, and whether a stream begins."""

    code: int
    line: str | None = None
    streams: bool = False


class Meter:
    """State of one meter. `now` is in seconds on the same steady clock everywhere."""

    def __init__(self, options: MeterOptions, now: float) -> None:
        self._options = options
        self._on_since = now
        self._waveform: Waveform = options.waveform
        self._items = plain_items(options.model, options.serial_number)
        for name, value in options.items:
            self._items[name.lower()] = self._items[name.lower()]._replace(value=value)
        self._values = {key: item.value for key, item in self._items.items()}
        self._wall = options.wall or datetime.now(UTC).replace(tzinfo=None)
        self._run: Run | None = None
        self._names_in_use: set[str] = set()
        self._is_unstored = False
        self.over: bool | None = None
        """The forced overload flag; None derives it from the level."""
        self.under: bool | None = None
        self._requests: dict[str, Callable[[str, float], Answer]] = {
            "dod": lambda _, now: Answer(OK, self.dod_line(now)),
            "dlc": lambda _, now: Answer(OK, self.dod_line(now, final=True)),
            "drd": lambda param, now: self._start_stream(param),
            "measure": lambda _, now: Answer(OK, "Start" if self.is_measuring(now) else "Stop"),
            "pause": lambda _, now: Answer(OK, "On" if self._run and self._run.is_paused else "Off"),
            "clock": lambda _, now: Answer(OK, f"{self._wall_at(now):{_CLOCK_FORMAT}}"),
            "overwrite": lambda _, now: Answer(OK, "Exist" if self["store name"] in self._names_in_use else "None"),
        }
        self._settings: dict[str, Callable[[str, float], Answer]] = {
            "measure": self._set_measure,
            "pause": self._set_pause,
            "clock": self._set_clock,
            "overwrite": lambda _, now: Answer(OK),
            "manual store": self._manual_store,
        }
        if options.running:
            self._start(now)

    def __getitem__(self, name: str) -> str:
        """The present value of a plain item."""
        return self._values[name.lower()]

    def has_item(self, name: str) -> bool:
        return name.lower() in self._items

    def put(self, name: str, value: str) -> None:
        """Change a plain item by hand, as on the meter's own keys. Raises KeyError for an unknown name."""
        key = self._items[name.lower()].name.lower()
        self._values[key] = value

    @property
    def is_reachable(self) -> bool:
        """Whether the settings let the control port listen."""
        return self["TCP"] == "On" and self["Ethernet"] == "On" and self._is_lan_free

    @property
    def has_ftp(self) -> bool:
        return self["FTP"] == "On" and self["Ethernet"] == "On" and self._is_lan_free

    @property
    def _is_lan_free(self) -> bool:
        return self["Web"] == "Off" and self["USB Class"] == "Off"

    def set_waveform(self, waveform: Waveform | float, now: float) -> None:
        """Measure this waveform, or this level in dB, from now on."""
        self._advance(now)
        self._waveform = waveform if callable(waveform) else constant(float(waveform))

    def lp(self, now: float) -> float:
        return self._waveform(now - self._on_since)

    def is_measuring(self, now: float) -> bool:
        self._advance(now)
        return self._run is not None and self._run.is_running

    def execute(self, line: str, now: float) -> Answer:
        """What the meter answers to one command line (without its line end)."""
        name, mark, param = line.partition("?")
        is_request = bool(mark) and "," not in name
        if not is_request:
            name, mark, param = line.partition(",")
        key = name.lower()
        key = ALIASES.get(key, key)
        if not mark or not (key in self._items or key in self._requests or key in self._settings):
            return Answer(UNKNOWN)
        param = param.strip()
        if is_request:
            if key in self._requests:
                return self._requests[key](param, now)
            return Answer(OK, self._values[key]) if key in self._items else Answer(DESIGNATION)
        if key in self._settings:
            return self._settings[key](param, now)
        return self._set_item(key, param, now)

    def dod_line(self, now: float, *, final: bool = False) -> str:
        """The 64 fields of `DOD?`; `final` is `DLC?`, which leaves Lp out."""
        self._advance(now)
        lp = self.lp(now)
        totals = self._run.totals(self._percentiles()) if self._run else None
        flags = self._flags(lp)
        channels = [self._channel(None if final else lp, totals, 0.0) + flags]
        for number, key in enumerate(_SUB_KEYS, start=1):
            if self._values[key] == "Off":
                channels.append(_DOD_SUB_OFF)
            else:
                below = _SUB_BELOW_DB * number
                channels.append(self._channel(None if final else lp - below, totals, below) + flags)
        return ",".join(channels)

    def drd_line(self, counter: int, now: float) -> str:
        """One line of the stream: values of these 100 ms alone."""
        lp, before = self.lp(now), self.lp(now - 0.1)
        levels = (lp, (lp + before) / 2 + 0.4, max(lp, before), min(lp, before), max(lp, before) + 10.6)
        main = ",".join(f"{level:5.1f}" for level in levels)
        return f"{counter:3},{main},{_MISSING},{self._flags(lp)}{_DRD_SUB_OFF * 3}"

    def status_fields(self, now: float) -> str:
        """What `DRD?status` adds to each line."""
        battery = self["Battery Level"][:1]
        state = "M" if self.is_measuring(now) else "S"
        return f",{self._wall_at(now):{_CLOCK_FORMAT}},E,{battery},{self['SD Card Free Size']},{state}"

    def _channel(self, lp: float | None, totals: Totals | None, below: float) -> str:
        values: list[float | None] = [lp]
        if totals is None:
            values += [None] * 13
        else:
            shown = (totals.leq, totals.le, totals.lmax, totals.lmin, *totals.ln, totals.lpeak)
            shown += (totals.leq + 1.2, totals.leq, totals.lmax)
            values += [
                value - below if self._values[key] == "On" else None
                for key, value in zip(_DISPLAY_KEYS, shown, strict=True)
            ]
        return "".join(f"{_MISSING}," if value is None else f"{value:5.1f}," for value in values)

    def _flags(self, lp: float) -> str:
        over = lp > self._options.over_db if self.over is None else self.over
        under = lp < self._options.under_db if self.under is None else self.under
        return f"{over:d},{under:d}"

    def _percentiles(self) -> list[int]:
        return [int(self._values[key]) for key in _PERCENTILE_KEYS]

    def _wall_at(self, now: float) -> datetime:
        return self._wall + timedelta(seconds=now - self._on_since)

    def _advance(self, now: float) -> None:
        if self._run is not None and self._run.is_running:
            self._run.advance(now, lambda t: self._waveform(t - self._on_since))

    def _start(self, now: float) -> None:
        mode = self["Store Mode"]
        self._run = Run(now, preset_s(self[f"Measurement Time Preset {mode}"]))
        self._is_unstored = True
        if mode == "Auto":
            self._names_in_use.add(self["Store Name"])

    def _start_stream(self, param: str) -> Answer:
        if param.lower() not in ("", "status"):
            return Answer(PARAMETER)
        slow_store = self["Store Mode"] == "Auto" and self["Lp Store Interval"] != "100ms"
        return Answer(STATUS) if slow_store or self["Wave Rec Mode"] == "On" else Answer(OK, streams=True)

    def _set_measure(self, param: str, now: float) -> Answer:
        measuring = self.is_measuring(now)
        match param.lower():
            case "start" if not measuring:
                self._start(now)
            case "stop" if measuring and self._run:
                self._run.stop()
            case "start" | "stop":
                return Answer(STATUS)
            case _:
                return Answer(PARAMETER)
        return Answer(OK)

    def _set_pause(self, param: str, now: float) -> Answer:
        if param.lower() not in ("on", "off"):
            return Answer(PARAMETER)
        if not self.is_measuring(now) or self._run is None:
            return Answer(STATUS)
        self._run.is_paused = param.lower() == "on"
        return Answer(OK)

    def _set_clock(self, param: str, now: float) -> Answer:
        try:
            wall = datetime.strptime(param, _CLOCK_FORMAT)  # noqa: DTZ007  the meter knows no zone
        except ValueError:
            return Answer(PARAMETER)
        if not 2023 <= wall.year <= 2079:
            return Answer(PARAMETER)
        if self.is_measuring(now):
            return Answer(STATUS)
        self._wall = wall - timedelta(seconds=now - self._on_since)
        return Answer(OK)

    def _manual_store(self, param: str, now: float) -> Answer:
        if param.lower() != "start":
            return Answer(PARAMETER)
        if self.is_measuring(now) or self["Store Mode"] != "Manual" or not self._is_unstored:
            return Answer(STATUS)
        self._is_unstored = False
        self._names_in_use.add(self["Store Name"])
        return Answer(OK)

    def _set_item(self, key: str, param: str, now: float) -> Answer:
        item = self._items.get(key)
        if item is None or item.accept is None:
            return Answer(DESIGNATION)
        value = item.accept(param)
        if value is None:
            return Answer(PARAMETER)
        if not item.while_measuring and self.is_measuring(now):
            return Answer(STATUS)
        self._values[key] = value
        return Answer(OK)
