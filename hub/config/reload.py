"""Compares two configurations, and watches the files of one for changes."""

import os
import stat
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from glob import glob, has_magic
from pathlib import Path
from typing import Protocol, TypeVar

import anyio
from anyio import to_thread

from hub.config.models import Config, FeedConfig
from hub.instruments.unit_config import UnitConfig
from hub.runtime.regular_file import Stamp

_CHECK_INTERVAL_S = 1.0
_SETTLE_S = 0.3
_MAX_CHECKS = 20
_APPLIED_AT_ONCE = ("hub.tokens", "hub.public_url", "hub.trusted_proxies")  # read at each request


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload must change. `restart_needed` names changed keys that need a restart of the hub."""

    units_added: tuple[UnitConfig, ...] = ()
    units_removed: tuple[UnitConfig, ...] = ()
    units_changed: tuple[UnitConfig, ...] = ()  # the new configuration
    feeds_added: tuple[FeedConfig, ...] = ()
    feeds_removed: tuple[FeedConfig, ...] = ()
    feeds_changed: tuple[FeedConfig, ...] = ()  # the new configuration
    rules_changed: bool = False
    receivers_changed: bool = False
    system_changed: bool = False
    tokens_changed: bool = False
    restart_needed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Changes()


def changes_between(before: Config, after: Config) -> Changes:
    """The differences of `after`; the order of units and feeds does not matter."""
    units = _by_id(before.units, after.units)
    feeds = _by_id(before.feeds, after.feeds)
    return Changes(
        *units,
        *feeds,
        rules_changed=before.alerts.rules != after.alerts.rules,
        receivers_changed=before.alerts.receivers != after.alerts.receivers,
        system_changed=before.alerts.system != after.alerts.system,
        tokens_changed=before.hub.tokens != after.hub.tokens,
        restart_needed=tuple(_restart_needed(before, after)),
    )


def _by_id(
    before: Iterable[_Item], after: Iterable[_Item]
) -> tuple[tuple[_Item, ...], tuple[_Item, ...], tuple[_Item, ...]]:
    """Added, removed, changed."""
    old, new = {item.id: item for item in before}, {item.id: item for item in after}
    return (
        tuple(item for key, item in new.items() if key not in old),
        tuple(item for key, item in old.items() if key not in new),
        tuple(item for key, item in new.items() if key in old and item != old[key]),
    )


def _restart_needed(before: Config, after: Config) -> Iterable[str]:
    for section in ("hub", "database", "redis"):
        old, new = getattr(before, section), getattr(after, section)
        if old is None or new is None:
            if old is not new:
                yield section
            continue
        for key in type(old).model_fields:
            if getattr(old, key) != getattr(new, key) and f"{section}.{key}" not in _APPLIED_AT_ONCE:
                yield f"{section}.{key}"


@dataclass(frozen=True, slots=True)
class ReloadState:
    """How the last reload ended; `reason` and `where` are set for a rejected file."""

    at: datetime
    reason: str | None = None
    where: str | None = None


async def watch_files(
    files: Iterable[Path], stop: anyio.Event, seen: Mapping[str, Stamp] | None = None
) -> AsyncIterator[None]:
    """Yield after files may have changed, once per burst, until `stop` is set; a path may be a glob pattern.

    It compares their stamps every second with those `seen` when they were read, by default those at the start.
    Events of the kernel would miss edits under a bind mount or on another machine, and its watches may be used up.
    It waits until a file is written completely: half of a file may be a valid configuration of half of the units.
    """
    watched = tuple(files)
    before = await to_thread.run_sync(_stamps, watched) if seen is None else dict(seen)
    while not await _is_set_within(stop, _CHECK_INTERVAL_S):
        after = await to_thread.run_sync(_stamps, watched)
        if after != before:
            before = await _settled(watched, after, stop)
            yield


async def _is_set_within(stop: anyio.Event, seconds: float) -> bool:
    with anyio.move_on_after(seconds):
        await stop.wait()
    return stop.is_set()


async def _settled(watched: tuple[Path, ...], seen: dict[str, Stamp], stop: anyio.Event) -> dict[str, Stamp]:
    """The stamps once they are the same twice in a row, or the last ones after 20 checks."""
    for _ in range(_MAX_CHECKS):
        if await _is_set_within(stop, _SETTLE_S):
            break
        before, seen = seen, await to_thread.run_sync(_stamps, watched)
        if seen == before:
            break
    return seen


def _stamps(watched: tuple[Path, ...]) -> dict[str, Stamp]:
    stamps: dict[str, Stamp] = {}
    for path in watched:
        names = glob(str(path), recursive=True) if has_magic(str(path)) and not path.exists() else [str(path)]
        for name in names:
            with suppress(OSError):  # a file that is gone has no stamp
                status = os.stat(name)
                if stat.S_ISREG(status.st_mode):
                    stamps[name] = Stamp.of(status)
    return stamps
