from datetime import timedelta
from pathlib import Path

import pytest

from hub.cli.replay import ReplayError, replay_rule
from hub.config.models import Config
from hub.database.database import open_database
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.insert import write_batch
from hub.store.schema import upgrade
from tests.hub.store.events import START, snapshot

pytestmark = pytest.mark.anyio


SILENT = {"after": "2m", "action": "alarm"}


def config(folder: Path) -> Config:
    rules = [
        {"name": "loud", "units": ["gate-a"], "metric": "lp", "above": 80, "for": "5s", "cooldown": "0s"},
        {"name": "silent", "units": ["gate-a"], "metric": "lp", "above": 90, "no_data": SILENT},
        {"name": "away", "metric": "reachable", "equals": False},
    ]
    units = [{"id": name, "host": "10.0.0.1", "port": port} for name, port in (("gate-a", 1), ("gate-b", 2))]
    document = {"units": units, "alerts": {"rules": rules}, "database": {"url": "sqlite:///hub.db"}}
    return Config.model_validate(document, context={"folder": folder})


async def stored(folder: Path) -> Config:
    levels = [60.0] * 10 + [85.0] * 20 + [60.0] * 30
    events = [snapshot(n, lp, unit_id=unit) for n, lp in enumerate(levels, 1) for unit in ("gate-a", "gate-b")]
    async with open_database(f"sqlite:///{folder / 'hub.db'}") as database:
        await database.write(upgrade)
        await database.write(lambda session: write_batch(session, BatchMaker(sqlite_time).make(events)))
    return config(folder)


async def test_a_replay_says_what_the_rule_would_have_done_and_why(tmp_path: Path) -> None:
    lines = await replay_rule(await stored(tmp_path), "loud", START, START + timedelta(hours=1))
    assert lines == [
        "2026-03-18T22:00:16.000Z  alert.onset    gate-a Lp 85.0 dB > 80.0 dB for 5 s",
        "2026-03-18T22:00:36.000Z  alert.clear    gate-a Lp back below 78.0 dB after 20 s, peak 85.0 dB",
        "2 transitions in 60 readings of 1 unit",
    ]


async def test_time_goes_on_after_the_last_reading(tmp_path: Path) -> None:
    loaded = await stored(tmp_path)
    lines = await replay_rule(loaded, "silent", START, START + timedelta(seconds=179))
    assert lines == ["0 transitions in 60 readings of 1 unit"]
    lines = await replay_rule(loaded, "silent", START, START + timedelta(seconds=180))
    assert [line.split()[:2] for line in lines[:-1]] == [["2026-03-18T22:03:00.000Z", "alert.no_data"]]


async def test_only_the_time_asked_for_is_replayed(tmp_path: Path) -> None:
    lines = await replay_rule(await stored(tmp_path), "loud", START, START + timedelta(seconds=14))
    assert lines == ["0 transitions in 13 readings of 1 unit"]


async def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="configured: loud, silent, away"):
        await replay_rule(config(tmp_path), "lout", START, START)
    with pytest.raises(ReplayError, match="only what units measure is stored"):
        await replay_rule(config(tmp_path), "away", START, START)
