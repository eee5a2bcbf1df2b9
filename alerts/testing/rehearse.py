"""Runs a rule test: evaluates its series with its rules and compares the transitions with the expected ones."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from alerts.model.alert import Transition
from alerts.model.duration import format_duration
from alerts.model.metrics import metric_of
from alerts.model.sample import Quality, Sample, Value
from alerts.rules.engine import Engine
from alerts.rules.system import UNIT_UNREACHABLE, system_rule
from alerts.testing.rehearsal import Expected, Rehearsal, RehearsalError, SeriesOf, SubjectOf, read_rehearsal

__all__ = ["RehearsalError", "Report", "rehearse", "rehearse_file"]

_REPEATED = re.compile(r"(.+?)\s+x\s*(\d+)")
_MOST_SAMPLES = 1_000_000
_STAND_INS = {q.value: q for q in Quality if q not in (Quality.OK, Quality.TICK, Quality.UNREACHABLE)}


@dataclass(frozen=True, slots=True)
class Report:
    """The transitions, one per line, each marked `ok`, `MISSING` or `UNEXPECTED`."""

    lines: tuple[str, ...]
    is_as_expected: bool

    def __str__(self) -> str:
        verdict = "as expected" if self.is_as_expected else "not as expected"
        plural = "" if len(self.lines) == 1 else "s"
        return "\n".join([*self.lines, f"{len(self.lines)} transition{plural}, {verdict}"])


def rehearse_file(path: Path) -> Report:
    """Play the document in a file. Raises RehearsalError."""
    return rehearse(read_rehearsal(path))


def rehearse(document: Mapping[str, object]) -> Report:
    """Play a document. Raises RehearsalError."""
    try:
        rehearsal = Rehearsal.model_validate(document)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise RehearsalError("\n".join(problems)) from None
    return _compare(rehearsal, list(_play(rehearsal)))


def _play(rehearsal: Rehearsal) -> Iterator[Transition]:
    """Samples in the order of their time, and a tick every second."""
    start, engine = rehearsal.start.astimezone(UTC), Engine(rehearsal.timezone)
    lost = (
        [system_rule(UNIT_UNREACHABLE, "warning", ())]
        if any(s.metric == "reachable" for s in rehearsal.series)
        else []
    )
    engine.set_rules([*rehearsal.rules, *lost], start, 0.0)
    named = {_full(name, ""): of for name, of in rehearsal.subjects.items()}
    for subject in dict.fromkeys([*named, *(_full(s.subject, s.metric) for s in rehearsal.series)]):
        of = named.get(subject, SubjectOf())
        labels = {"feed": subject.split("/")[1], **of.labels} if subject.startswith("equipment/") else of.labels
        attributes = {"status": of.status, "status_category": of.status_category}
        engine.add_subject(subject, labels, start, 0.0, attributes)
    samples = sorted(
        (sample for series in rehearsal.series for sample in _samples(series, start)), key=lambda s: s.time
    )
    end_s = max(rehearsal.until, samples[-1].time if samples else 0.0)
    second = 0
    for sample in samples:
        while second < sample.time:
            yield from engine.tick(start + timedelta(seconds=second), float(second))
            second += 1
        yield from engine.observe(sample, sample.time)
    while second <= end_s:
        yield from engine.tick(start + timedelta(seconds=second), float(second))
        second += 1


def _samples(series: SeriesOf, start: datetime) -> Iterator[Sample]:
    subject, count = _full(series.subject, series.metric), 0
    for written in series.values:
        repeated = _REPEATED.fullmatch(written) if isinstance(written, str) else None
        times = int(repeated[2]) if repeated else 1
        value, quality = _value(series.metric, repeated[1] if repeated else written)
        if count + times > _MOST_SAMPLES:
            raise RehearsalError(f"series of {series.subject}: more than {_MOST_SAMPLES} values; write fewer")
        for turn in range(count, count + times):
            time_s = series.from_ + turn * series.every
            at = start + timedelta(seconds=time_s)
            yield Sample(subject, series.metric, value, at, time_s, quality, cadence_s=series.every)
        count += times


def _value(metric: str, written: bool | float | str) -> tuple[Value, Quality]:
    if isinstance(written, str) and written in _STAND_INS:
        return None, _STAND_INS[written]
    sort = metric_of(metric).sort
    if sort == "state":
        return str(written), Quality.OK
    if sort == "flag":
        if str(written).lower() not in ("true", "false"):
            raise RehearsalError(f"{written!r} is no value of {metric}; write true or false")
        return str(written).lower() == "true", Quality.OK
    try:
        return float(written), Quality.OK
    except ValueError:
        words = ", ".join(_STAND_INS)
        raise RehearsalError(f"{written!r} is no value of {metric}; write a number, or one of {words}") from None


def _full(subject: str, metric: str) -> str:
    """The full name of a subject: `gate-a` is `unit/gate-a`; a machine is written in full."""
    if metric_of(metric).of == "machine" and not subject.startswith("equipment/"):
        raise RehearsalError(f"{subject!r} is no machine; write equipment/<feed>/{subject}")
    return subject if "/" in subject else f"unit/{subject}"


def _compare(rehearsal: Rehearsal, found: list[Transition]) -> Report:
    start = rehearsal.start
    open_: list[Expected] = list(rehearsal.expect)
    lines: list[tuple[float, str]] = []
    is_as_expected = True
    for transition in found:
        after_s = (transition.at - start).total_seconds()
        match = next((expected for expected in open_ if _fits(expected, transition, after_s)), None)
        if match is not None:
            open_.remove(match)
        else:
            is_as_expected = False
        lines.append((after_s, f"{'ok' if match else 'UNEXPECTED':10} {_describe(transition, after_s)}"))
    for expected in open_:
        wanted = expected.model_dump(exclude_none=True, exclude={"at", "type"})
        text = f"{'MISSING':10} {_offset(expected.at):>8} {expected.type:7} {' '.join(map(str, wanted.values()))}"
        lines.append((expected.at, text.rstrip()))
    lines.sort(key=lambda line: line[0])
    return Report(tuple(text for _, text in lines), is_as_expected and not open_)


def _fits(expected: Expected, transition: Transition, after_s: float) -> bool:
    alert = transition.alert
    return (
        abs(expected.at - after_s) < 1e-3
        and f"alert.{expected.type}" == transition.type
        and expected.rule in (None, alert.rule)
        and (expected.subject is None or _full(expected.subject, "") == alert.subject)
        and expected.severity in (None, alert.severity)
        and expected.reason in (None, alert.reason)
    )


def _describe(transition: Transition, after_s: float) -> str:
    alert = transition.alert
    reason = f" ({alert.reason})" if alert.reason else ""
    subject = alert.subject.removeprefix("unit/")
    kind = transition.type.removeprefix("alert.")
    what = f"{alert.severity} {alert.metric} {alert.value}{reason}"
    return f"{_offset(after_s):>8} {kind:7} {alert.rule} {subject} {what}"


def _offset(seconds: float) -> str:
    return f"+{format_duration(seconds)}" if seconds else "+0s"
