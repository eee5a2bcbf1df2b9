from pathlib import Path

import pytest

from hub.cache.redis import open_redis
from hub.config.models import Config, OracleEquipmentFeed
from hub.oracle.lanes import Deadlines, backstop_s
from hub.runtime.clock import Clock
from hub.trace.build import lanes_of, trace_of

ORACLE = {"kind": "oracle-equipment", "id": "fab", "dsn": "db:1521/X", "user": "reader", "password": "tiger"}
SAMPLE = {"kind": "sample-equipment", "id": "demo"}


def config(tmp_path: Path, *feeds: dict[str, str]) -> Config:
    return Config.model_validate({"hub": {"data_dir": str(tmp_path)}, "feeds": feeds})


def test_without_a_feed_there_is_no_trace(tmp_path: Path) -> None:
    assert trace_of(config(tmp_path), Clock(), None) is None


def test_the_sample_plant_needs_no_lanes_and_oracle_comes_first(tmp_path: Path) -> None:
    sample = trace_of(config(tmp_path, SAMPLE), Clock(), None)
    assert sample is not None
    assert sample.lanes == ()
    oracle = trace_of(config(tmp_path, SAMPLE, ORACLE), Clock(), None)
    assert oracle is not None
    assert [lane.name for lane in oracle.lanes] == ["bulk", "probe"]
    assert oracle.jobs.folder == tmp_path / "trace"


def test_settings_have_defaults_and_bounds() -> None:
    feed = OracleEquipmentFeed.model_validate({**ORACLE, "trace": {"workers": 3, "max_rss": "2GB"}})
    assert (feed.trace.workers, feed.trace.bulk_sessions, feed.trace.fleet_cap) == (3, 4, 8)
    assert feed.trace.max_rss == 2_000_000_000
    with pytest.raises(ValueError, match="bulk_sessions"):
        OracleEquipmentFeed.model_validate({**ORACLE, "trace": {"bulk_sessions": 0}})


@pytest.mark.anyio
async def test_with_redis_the_bulk_lane_has_the_cap_of_the_fleet() -> None:
    feed = OracleEquipmentFeed.model_validate({**ORACLE, "trace": {"fleet_cap": 3}})
    async with open_redis("redis://127.0.0.1:1/0") as redis:
        assert lanes_of(feed, redis).bulk.is_capped
    assert not lanes_of(feed, None).bulk.is_capped


def test_the_drivers_own_time_out_never_races_ours() -> None:
    assert backstop_s(Deadlines(query_s=60)) >= 60 + 30
