"""What changed between two configurations, and when the files of one change."""

from collections.abc import AsyncIterator, Hashable, Iterable
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Protocol, TypeVar

import anyio
from anyio import to_thread
from watchfiles import awatch

from hub.config import Config, FeedConfig, UnitConfig

_REST_S = 0.3
_LOOKS = 20
_ASKED_EACH_TIME = ("hub.tokens", "hub.public_url", "hub.trusted_proxies")  # so a change holds at once


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload has to do. `restart_needed` names keys that only a restart of the hub takes up."""

    units_added: tuple[UnitConfig, ...] = ()
    units_removed: tuple[UnitConfig, ...] = ()
    units_changed: tuple[UnitConfig, ...] = ()  # as they are now
    feeds_added: tuple[FeedConfig, ...] = ()
    feeds_removed: tuple[FeedConfig, ...] = ()
    feeds_changed: tuple[FeedConfig, ...] = ()  # as they are now
    rules_changed: bool = False
    receivers_changed: bool = False
    system_changed: bool = False
    tokens_changed: bool = False
    restart_needed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Changes()


def changes_between(before: Config, after: Config) -> Changes:
    """What is different in `after`; the order of units and feeds does not count."""
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
            if getattr(old, key) != getattr(new, key) and f"{section}.{key}" not in _ASKED_EACH_TIME:
                yield f"{section}.{key}"


async def watch_files(files: Iterable[Path], stop: anyio.Event, debounce_ms: int = 400) -> AsyncIterator[None]:
    """Yields after the content of the files may have changed, once per burst; a path may be a glob pattern.

    A file that is being written is waited for: half of one may be a good configuration, of half the units. Folders
    are watched, as editors and container platforms replace files instead of writing to them, and
    the files are looked at every 5 s besides, for file systems that send no events. Ends soon after `stop` is
    set; a mere cancellation waits for the watching thread, up to those 5 s.
    """
    watched = tuple(files)
    before = await to_thread.run_sync(_fingerprint, watched)
    async for _ in awatch(
        *{_folder(path) for path in watched},
        watch_filter=None,
        stop_event=stop,
        debounce=debounce_ms,
        recursive=any(_is_deep(path) for path in watched),
        rust_timeout=5000,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        after = await to_thread.run_sync(_fingerprint, watched)
        if after != before:
            before = await _rested(watched, after, stop)
            yield


async def _rested(watched: tuple[Path, ...], seen: frozenset[Hashable], stop: anyio.Event) -> frozenset[Hashable]:
    """The fingerprint once it has stayed the same for a moment, or what it is when that takes too long."""
    for _ in range(_LOOKS):
        with anyio.move_on_after(_REST_S):
            await stop.wait()
            return seen
        before, seen = seen, await to_thread.run_sync(_fingerprint, watched)
        if seen == before:
            break
    return seen


def _fingerprint(watched: tuple[Path, ...]) -> frozenset[Hashable]:
    seen: set[Hashable] = set()
    for path in watched:
        for name in glob(str(path), recursive=True) if has_magic(str(path)) and not path.exists() else (str(path),):
            try:
                status = Path(name).stat()
            except OSError:
                continue  # gone, which the missing entry tells
            seen.add((name, status.st_ino, status.st_size, status.st_mtime_ns))
    return frozenset(seen)


def _folder(path: Path) -> Path:
    """The deepest folder that exists and holds everything the path may mean."""
    folder = path.parent
    while has_magic(str(folder)) or not folder.is_dir():
        folder = folder.parent
    return folder


def _is_deep(path: Path) -> bool:
    return has_magic(str(path.parent)) and not path.parent.is_dir()
