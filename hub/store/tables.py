"""The hub's tables: readings, the latest of each unit, minutes, changes of state, and what survives a restart."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, PrimaryKeyConstraint, text
from sqlmodel import Field, Session, SQLModel, select

_ONE_TREE: dict[str, Any] = {"sqlite_with_rowid": False}  # SQLite keeps the rows in the primary key itself

SEQUENCES_PER_BOOT = 1 << 32


class Measured(SQLModel):
    """What a reading says: the columns of `readings` and `snapshots`. Levels in dB, times aware UTC."""

    unit_id: str
    at: datetime
    sequence: int = Field(sa_type=BigInteger)
    lp: float | None = None
    leq: float | None = None
    le: float | None = None
    lmax: float | None = None
    lmin: float | None = None
    lpeak: float | None = None
    ln1: float | None = None
    ln2: float | None = None
    ln3: float | None = None
    ln4: float | None = None
    ln5: float | None = None
    over: bool | None = None
    under: bool | None = None
    run_state: str | None = None
    run_started_at: datetime | None = None
    quality: str = ""
    """Comma-separated names of what is wrong with the values."""
    cadence_s: float
    """How often the unit was sampled: the weight of the reading in means."""
    covered_s: float
    """The time since the reading before, as far as this reading can stand for it."""
    raw_payload: str | None = None
    quantities: dict[str, float | None] | None = Field(default=None, sa_type=JSON)
    """Values by name of an instrument that is no sound level meter; it has no levels."""


class StoredReading(Measured, table=True):
    """One row per reading of a unit."""

    __tablename__ = "readings"
    __table_args__ = (PrimaryKeyConstraint("unit_id", "at", "sequence"), _ONE_TREE)


class StoredSnapshot(Measured, table=True):
    """The latest reading of each unit."""

    __tablename__ = "snapshots"
    __table_args__ = (PrimaryKeyConstraint("unit_id"), _ONE_TREE)


class Minute(SQLModel, table=True):
    """Lp over one minute of one unit, kept longer than the readings it was made of."""

    __tablename__ = "minutes"
    __table_args__ = (PrimaryKeyConstraint("unit_id", "at"), _ONE_TREE)

    unit_id: str
    at: datetime
    """The start of the minute."""
    leq_lp: float | None = None
    """Energy mean of Lp, dB: `10 lg(energy / weight_s)`."""
    lp_max: float | None = None
    lp_min: float | None = None
    count: int
    """Readings, with or without a value."""
    coverage: float
    """Covered part of the minute, 0..1."""
    energy: float
    """Sum of `t * 10^(lp/10)`, t the lesser of `cadence_s` and `covered_s` of each reading."""
    weight_s: float
    """Sum of `cadence_s` of the readings that have an Lp."""
    covered_s: float


class QuantityMinute(SQLModel, table=True):
    """A quantity of a unit that is no sound level meter over one minute, kept as long as `minutes`."""

    __tablename__ = "quantity_minutes"
    __table_args__ = (PrimaryKeyConstraint("unit_id", "at", "quantity"), _ONE_TREE)

    unit_id: str
    at: datetime
    """The start of the minute."""
    quantity: str
    averaging: str | None = None
    """How `mean` was made: by `energy` or `arithmetic`; None: not at all."""
    mean: float | None = None
    min: float | None = None
    max: float | None = None
    last: float | None = None
    """The last value within the minute."""
    count: int
    """Readings, with or without a value."""
    coverage: float
    """Covered part of the minute, 0..1."""
    total: float
    """Sum of `t * value`, or of `t * 10^(value/10)`, t the lesser of `cadence_s` and `covered_s` of a reading."""
    weight_s: float
    """Sum of t of the readings that have a value."""
    covered_s: float


class StoredStateChange(SQLModel, table=True):
    """A change of reachability, run state, release, sleep mode, the meter itself, or one of its settings."""

    __tablename__ = "state_changes"
    __table_args__ = (Index("ix_state_changes_unit_id_at", "unit_id", "at"),)

    id: int | None = Field(default=None, primary_key=True)
    unit_id: str
    at: datetime
    what: str
    old: str | None = None
    new: str | None = None
    reason: str | None = None


class StoredMachineChange(SQLModel, table=True):
    """A machine's status from then on; the first row of a machine says what it was when it was first seen."""

    __tablename__ = "machine_status_changes"
    __table_args__ = (Index("ix_machine_status_changes_subject_id", "subject", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    subject: str
    """`equipment/<feed>/<RESOURCEID>`."""
    old: str | None = None
    new: str | None = None
    """None: not in the view any more, or without a status."""
    at: datetime
    reason: str | None = None


class UnitState(SQLModel, table=True):
    """What people decided about a unit, so that it survives a restart."""

    __tablename__ = "unit_states"
    __table_args__ = _ONE_TREE

    unit_id: str = Field(primary_key=True)
    released: bool = False
    keep_alive: bool | None = None
    """None: as configured."""
    config_hash: str | None = None
    """Of the unit's configuration when `keep_alive` was set: another one ends what was decided."""


class StoredMeterSetting(SQLModel, table=True):
    """A setting of the meter of a unit, as the meter answered; all rows of a unit are of one meter."""

    __tablename__ = "meter_settings"
    __table_args__ = (PrimaryKeyConstraint("unit_id", "name"), _ONE_TREE)

    unit_id: str
    name: str
    """As the meter calls it; `Type` and `Serial Number` are among them."""
    value: str | None = None
    refusal: str | None = None
    """The result code where the meter refused to answer, such as `R+0001`."""
    asked_at: datetime
    since_at: datetime
    """When this value was read for the first time."""


class Boot(SQLModel, table=True):
    """One start of the hub. Its id is the upper half of every sequence number sent during it."""

    __tablename__ = "boots"

    id: int | None = Field(default=None, primary_key=True)
    started_at: datetime
    version: str
    batch: int = Field(default=0, sa_type=BigInteger)
    """The last batch of readings that was committed."""


def register_boot(session: Session, started_at: datetime, version: str) -> int:
    """Adds a boot and returns its number, above that of every boot before."""
    boot = Boot(started_at=started_at, version=version)
    session.add(boot)
    session.flush()
    assert boot.id is not None
    return boot.id


def keep_boot(session: Session, boot: int, started_at: datetime, version: str) -> None:
    """Adds a boot that is running to a database that does not know it, so that the next one is above it."""
    if session.get(Boot, boot) is None:
        session.add(Boot(id=boot, started_at=started_at, version=version))


def sequence_base(boot: int) -> int:
    """Every sequence number of a boot is above this; the first is one more."""
    return boot * SEQUENCES_PER_BOOT


def last_machine_statuses(session: Session) -> dict[str, str]:
    """The last known status of every machine by subject; machines that went, or had none, are left out.

    One seek in the index per machine, as each has thousands of rows.
    """
    return {subject: new for subject, new in session.execute(_LAST_STATUSES) if new is not None}


_LAST_STATUSES = text(
    """WITH RECURSIVE machines(subject) AS (
        SELECT min(subject) FROM machine_status_changes
        UNION ALL
        SELECT (SELECT min(c.subject) FROM machine_status_changes c WHERE c.subject > machines.subject)
        FROM machines WHERE machines.subject IS NOT NULL)
    SELECT subject,
        (SELECT c.new FROM machine_status_changes c WHERE c.subject = machines.subject ORDER BY c.id DESC LIMIT 1)
    FROM machines WHERE subject IS NOT NULL"""
)


def load_unit_states(session: Session) -> dict[str, UnitState]:
    """All unit states by unit."""
    return {state.unit_id: state for state in session.exec(select(UnitState))}


def save_unit_state(session: Session, state: UnitState) -> None:
    """Stores the state of one unit, in place of what was known."""
    session.merge(state)
