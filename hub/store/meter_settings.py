"""The settings of meters in SQL: read at the start, written when a meter was asked, without holding anybody up."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NoReturn

import anyio
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from alerts.store.database import Database
from hub.database.errors import describe_error
from hub.instruments.setting import Setting
from hub.runtime.backoff import backoff
from hub.runtime.clock import Clock
from hub.store.tables import StoredMeterSetting

log = structlog.get_logger()

_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
_DRAIN_S = 1.0

_settings: sa.Table = StoredMeterSetting.__table__  # type: ignore[attr-defined]


def load_settings(session: Session) -> dict[str, list[StoredMeterSetting]]:
    """Every stored setting by unit."""
    found: dict[str, list[StoredMeterSetting]] = {}
    for row in session.exec(select(StoredMeterSetting)):
        found.setdefault(row.unit_id, []).append(row)
    return found


def settings_at(rows: Iterable[StoredMeterSetting], at: datetime) -> dict[str, str | None]:
    """What the settings are known to have been at a time: those that have been as they are since then."""
    return {row.name: row.value for row in rows if row.since_at <= at}


def settings_of(session: Session, unit_id: str) -> list[StoredMeterSetting]:
    """The stored settings of one unit."""
    return list(session.exec(select(StoredMeterSetting).where(StoredMeterSetting.unit_id == unit_id)))


def save_settings(session: Session, unit_id: str, rows: Iterable[StoredMeterSetting]) -> None:
    """Stores all that is known of the settings of a unit, in place of what was."""
    session.connection().execute(_settings.delete().where(_settings.c.unit_id == unit_id))
    values = [row.model_dump() for row in rows]
    if values:
        session.connection().execute(_settings.insert(), values)


def restored(rows: Iterable[StoredMeterSetting], clock: Clock) -> dict[str, Setting]:
    """Stored settings on the steady clock of this process; a time that lies ahead counts as now."""
    now, now_s = clock.now(), clock.steady()

    def steady(at: datetime) -> float:
        return now_s - max(0.0, (now - at).total_seconds())

    return {row.name: Setting(row.value, steady(row.asked_at), steady(row.since_at), row.refusal) for row in rows}


class SettingsWriter:
    """Stores the settings of units as they come. Of each unit the newest wait: the buffer is as long as the fleet.

    While the database fails they are kept and written later.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: dict[str, list[StoredMeterSetting]] = {}
        self._wakeup = anyio.Event()

    @property
    def pending(self) -> int:
        """Units whose settings are not stored yet."""
        return len(self._waiting)

    def offer_nowait(self, unit_id: str, settings: Mapping[str, Setting]) -> None:
        """Take all that is known of the settings of a unit."""
        now, now_s = self._clock.now(), self._clock.steady()

        def wall(time_s: float) -> datetime:
            return now - timedelta(seconds=now_s - time_s)

        self._waiting[unit_id] = [
            StoredMeterSetting(
                unit_id=unit_id, name=name, value=one.value, refusal=one.refusal,
                asked_at=wall(one.asked_s), since_at=wall(one.since_s),
            )
            for name, one in settings.items()
        ]  # fmt: skip
        self._wakeup.set()

    async def run(self) -> NoReturn:
        """Write until cancelled; then write what is left, for at most a second."""
        try:
            failures = 0
            while True:
                await self._wakeup.wait()
                self._wakeup = anyio.Event()
                while self._waiting:
                    if await self._write():
                        failures = 0
                    else:
                        failures += 1
                        await anyio.sleep(backoff(failures, _FIRST_RETRY_S, _LONGEST_RETRY_S, roll=1.0))
        finally:
            if self._waiting:
                with anyio.move_on_after(_DRAIN_S, shield=True):
                    await self._write()

    async def _write(self) -> bool:
        """All that waits, in one transaction; False when the database refused it."""
        taken, self._waiting = self._waiting, {}

        def work(session: Session) -> None:
            for unit_id, rows in taken.items():
                save_settings(session, unit_id, rows)

        is_written = False
        try:
            await self._database.write(work)
            is_written = True
        except DBAPIError as error:
            log.debug("settings of meters not stored", units=len(taken), reason=describe_error(error))
        finally:
            if not is_written:
                self._waiting = taken | self._waiting
        return is_written
