"""Checks that need the whole file: names used twice, references to unknown names, and rules that cannot fire."""

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate
from functools import cache
from glob import has_magic

from alerts.config.rule import FORMATS
from alerts.delivery.known_services import unsuitable_format
from alerts.model.duration import format_duration
from alerts.model.metrics import metric_of
from alerts.rules.compiled import sampling_s, warnings_for
from alerts.rules.matching import matcher_of
from alerts.rules.system import SYSTEM_SUBJECTS
from hub.config.measured import Measured
from hub.config.models import Config, HubSection
from hub.config.problem import Problem
from hub.config.yaml_source import Loc, Source
from hub.fields.scalars import parse_listen
from hub.instruments.unit_config import UnitConfig
from hub.kinds.registry import kind_of
from hub.readings.windows import READINGS_NEEDED, WINDOWS

_Subjects = list[tuple[str, dict[str, str]]]  # id and labels


def reference_problems(source: Source) -> Iterator[Problem]:
    """The problems of names and references. It checks the plain data, so that other mistakes do not hide them."""
    yield from _duplicates(source, ("units",), "id")
    yield from _duplicates(source, ("feeds",), "id")
    yield from _duplicates(source, ("hub", "tokens"), "name")
    yield from _duplicates(source, ("hub", "tokens"), "token")
    yield from _duplicates(source, ("alerts", "rules"), "name")
    yield from _duplicates(source, ("alerts", "receivers"), "name")
    yield from _shared_sockets(source)
    yield from _open_listen(source)
    yield from _receivers(source)
    for loc, name in _names(source, ("alerts", "rules"), "name"):
        if name in SYSTEM_SUBJECTS:
            yield source.problem(loc, f"{name!r} is the name of one of the hub's own rules; choose another")
    feeds = [(name, {"feed": name}) for _, name in _names(source, ("feeds",), "id")]
    units = [(name, _labels_of(source, name_loc[:-1])) for name_loc, name in _names(source, ("units",), "id")]
    matching = _matcher(name for name, _ in units)
    measured = Measured()
    for loc, unit in _entries(source, ("units",)):
        if (unit_id := source.spots[(*loc, "id")].text if "id" in unit else None) is not None:
            measured.add(unit_id, unit)
    for loc, rule in _entries(source, ("alerts", "rules")):
        yield from _rule(source, loc, rule, units, feeds, matching, measured)


def reference_warnings(source: Source, config: Config) -> Iterator[Problem]:
    """Warnings about settings that work, but perhaps not as intended."""
    for i, rule in enumerate(config.alerts.rules):
        if not rule.notify:
            message = "has no notify: its alerts are stored and shown, and no receiver gets them"
            yield source.problem(("alerts", "rules", i), message)
        for message in warnings_for(rule):
            yield source.problem(("alerts", "rules", i, "metric"), message)
    yield from _uncovered_windows(source, config)
    if config.hub.trusted_proxies and not config.hub.tokens:
        message = "everybody who reaches a proxy could use the hub, as there are no hub.tokens; add some"
        yield source.problem(("hub", "trusted_proxies"), message)
    for i, receiver in enumerate(config.alerts.receivers):
        unsuitable = unsuitable_format(receiver.url, receiver.format, FORMATS)
        if unsuitable is not None:
            yield source.problem(("alerts", "receivers", i, "url"), unsuitable)
    for i, unit in enumerate(config.units):
        if unit.poll.gap > unit.poll.watched:
            gap, watched = format_duration(unit.poll.gap), format_duration(unit.poll.watched)
            message = f"the gap of {gap} wins over watched: {watched}: polls are never closer than the gap"
            yield source.problem(("units", i, "poll"), message)


def _uncovered_windows(source: Source, config: Config) -> Iterator[Problem]:
    """Windowed rules whose window the readings of a unit cannot fill, as often as the unit is read unwatched."""
    if not any(rule.metric in WINDOWS for rule in config.alerts.rules):
        return
    rules = [(rule, matcher_of(rule)) for rule in config.alerts.rules]
    found: dict[int, list[tuple[UnitConfig, float]]] = {}
    for unit in config.units:
        subject, poll, quantities = f"unit/{unit.id}", unit.poll, kind_of(unit).quantities(unit)
        about_it = {
            i: rule
            for i, (rule, matches) in enumerate(rules)
            if rule.metric in quantities and matches(subject, unit.labels, {})
        }
        wishes = [sampling_s(rule, poll.watched) for rule in about_it.values()]
        interval_s = max(min([poll.idle, *wishes]), poll.gap)
        for i, rule in about_it.items():
            if rule.metric in WINDOWS and WINDOWS[rule.metric].seconds < READINGS_NEEDED * interval_s:
                found.setdefault(i, []).append((unit, interval_s))
    for i, units in found.items():
        rule, (unit, interval_s) = config.alerts.rules[i], units[0]
        seconds, others = WINDOWS[rule.metric].seconds, f" and {len(units) - 1} more" if len(units) > 1 else ""
        message = (
            f"sees nothing on {unit.id}{others}: {rule.metric} needs {READINGS_NEEDED} readings in "
            f"{format_duration(seconds)}, and {unit.id} is read every {format_duration(interval_s)}; "
            f"have it read every {format_duration(seconds / READINGS_NEEDED)} or faster (`every`, `poll.gap`)"
        )
        yield source.problem(("alerts", "rules", i, "metric" if rule.every is None else "every"), message)


def _matcher(names: Iterable[str]) -> Callable[[str], frozenset[str]]:
    """A function that returns the names that a glob matches, cached for globs that many rules use."""
    known = frozenset(names)

    @cache
    def matching(glob: str) -> frozenset[str]:
        if has_magic(glob):
            return frozenset(filter(re.compile(translate(glob)).match, known))
        return known & {glob}

    return matching


def _at(source: Source, loc: Loc) -> object:
    value: object = source.data
    for part in loc:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _entries(source: Source, loc: Loc) -> Iterator[tuple[Loc, dict[str, object]]]:
    """The mappings in a list, with their locs."""
    for i, entry in enumerate(_list(source, loc)):
        if isinstance(entry, dict):
            yield (*loc, i), entry


def _list(source: Source, loc: Loc) -> list[object]:
    value = _at(source, loc)
    return value if isinstance(value, list) else []


def _scalars(source: Source, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """The scalars in a list as they were written, with their locs."""
    for i in range(len(_list(source, loc))):
        text = source.spots[(*loc, i)].text
        if text is not None:
            yield (*loc, i), text


def _names(source: Source, loc: Loc, key: str) -> Iterator[tuple[Loc, str]]:
    for entry_loc, entry in _entries(source, loc):
        text = source.spots[(*entry_loc, key)].text if key in entry else None
        if text:
            yield (*entry_loc, key), text


def _duplicates(source: Source, loc: Loc, key: str) -> Iterator[Problem]:
    first: dict[str, Loc] = {}
    for name_loc, name in _names(source, loc, key):
        if name in first:
            spot = source.spots[first[name]]
            what = "the same token" if key == "token" else repr(name)
            yield source.problem(name_loc, f"{what} is used twice, first at {spot.position} ({spot.path})")
        else:
            first[name] = name_loc


def _shared_sockets(source: Source) -> Iterator[Problem]:
    first: dict[tuple[str, str], str] = {}
    for loc, unit in _entries(source, ("units",)):
        host = source.spots[(*loc, "host")].text if "host" in unit else None
        port = source.spots[(*loc, "port")].text if "port" in unit else "2255"
        if not host or not port:
            continue
        spot = source.spots[loc]
        other = first.setdefault((host.lower(), port), f"{spot.path} at {spot.position}")
        if other != f"{spot.path} at {spot.position}":
            message = f"{host}:{port} is the address of {other} too, and an instrument has one connection"
            yield source.problem((*loc, "host"), message)


def _open_listen(source: Source) -> Iterator[Problem]:
    listen = _at(source, ("hub", "listen"))
    if not isinstance(listen, str) or _list(source, ("hub", "tokens")):
        return
    try:
        parse_listen(listen)
    except ValueError:
        return  # the field's own validator reports it
    if not HubSection(listen=listen).is_loopback:
        message = "anybody on the network could use the hub; add hub.tokens, or listen on 127.0.0.1"
        yield source.problem(("hub", "listen"), message)


def _receivers(source: Source) -> Iterator[Problem]:
    known = [name for _, name in _names(source, ("alerts", "receivers"), "name")]
    notifies: list[Loc] = [(*loc, "notify") for loc, _ in _entries(source, ("alerts", "rules"))]
    for notify in [*notifies, ("alerts", "system", "notify")]:
        for loc, name in _scalars(source, notify):
            if name not in known:
                hint = source.suggestions.did_you_mean(name, known) or f"; there is {', '.join(known) or 'none'}"
                yield source.problem(loc, f"no receiver is named {name!r}{hint}")


def _rule(
    source: Source,
    loc: Loc,
    rule: dict[str, object],
    units: _Subjects,
    feeds: _Subjects,
    matching: Callable[[str], frozenset[str]],
    measured: Measured,
) -> Iterator[Problem]:
    """Problems of what a rule refers to: a rule without any subject can never fire."""
    metric = rule.get("metric")
    is_on_machines = rule.get("equipment") is not None or (
        isinstance(metric, str) and metric_of(metric).of == "machine"
    )
    if is_on_machines and not feeds:
        key = "metric" if rule.get("equipment") is None else "equipment"
        yield source.problem((*loc, key), "there is no feed that could deliver machines; add one under feeds")
        return
    globs = list(_scalars(source, (*loc, "units")))
    subjects, chosen = feeds if is_on_machines else units, None
    if globs and not is_on_machines:
        for glob_loc, glob in globs:
            if not matching(glob):
                hint = "" if has_magic(glob) else source.suggestions.did_you_mean(glob, [name for name, _ in units])
                yield source.problem(glob_loc, f"{glob!r} matches no unit{hint}")
        chosen = {name for _, glob in globs for name in matching(glob)}
        subjects = [unit for unit in units if unit[0] in chosen]
        if not subjects:
            return
    if isinstance(metric, str) and not is_on_machines:
        problem = measured.problem_with(metric, chosen, source.suggestions)
        if problem is not None:
            yield source.problem((*loc, "metric"), problem)
    yield from _labels(source, (*loc, "match"), [labels for _, labels in subjects])


def _labels(source: Source, loc: Loc, subjects: list[dict[str, str]]) -> Iterator[Problem]:
    match = _at(source, loc)
    wanted = {key: source.spots[(*loc, key)].text or "" for key in match} if isinstance(match, dict) else {}
    alone = True  # whether each of the labels matches a subject by itself
    for key, value in wanted.items():
        values = {labels[key] for labels in subjects if key in labels}
        if value in values:
            continue
        alone = False
        if values:
            message = (
                f"nothing it watches has the label {key}: {value}{source.suggestions.did_you_mean(value, values)}"
            )
        else:
            keys = {name for labels in subjects for name in labels}
            message = f"nothing it watches has a label {key}{source.suggestions.did_you_mean(key, keys)}"
        yield source.problem((*loc, key), message, at_key=not values)
    if alone and wanted and not any(wanted.items() <= labels.items() for labels in subjects):
        yield source.problem(loc, "nothing it watches has all of these labels")


def _labels_of(source: Source, unit: Loc) -> dict[str, str]:
    labels = _at(source, (*unit, "labels"))
    texts = {key: source.spots[(*unit, "labels", key)].text for key in labels} if isinstance(labels, dict) else {}
    return {key: text for key, text in texts.items() if text is not None}
