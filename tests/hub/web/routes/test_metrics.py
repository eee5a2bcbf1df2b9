"""Metrics for Prometheus."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.instruments.exchange import LinkDown
from hub.readings.snapshot import Failure
from tests.hub.web.parts import Site

pytestmark = pytest.mark.anyio


async def scrape(site: Site) -> str:
    async with site.client() as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.text


async def test_what_happened_is_counted(site: Site) -> None:
    await site.poll("gate-a", 2)
    site.links["gate-b"].failure = Failure.MUTE
    with pytest.raises(LinkDown):
        await site.poll("gate-b")
    site.sample(80.0)
    site.parts.figures.poll_s.observe(0.3)
    await site.committed()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(await scrape(site))
        for sample in family.samples
    }
    assert samples["hub_polls_total", "ok"] == 2
    assert samples["hub_polls_total", "mute"] == 1
    assert samples["hub_stale_bytes_total",] == 0
    assert samples["hub_unit_reachable", "gate-a"] == 1
    assert samples["hub_unit_sample_age_seconds", "gate-a"] >= 0
    assert samples["hub_readings_written_total",] == 2
    assert samples["hub_alerts_open", "critical"] == 1
    assert samples["hub_poll_duration_seconds_bucket", "0.25"] == 0
    assert samples["hub_poll_duration_seconds_bucket", "0.5"] == 1
    assert samples["hub_poll_duration_seconds_bucket", "+Inf"] == 1
    assert samples["hub_poll_duration_seconds_sum",] == 0.3


async def test_names_follow_the_conventions_of_prometheus(site: Site) -> None:
    seen = set()
    for family in text_string_to_metric_families(await scrape(site)):
        assert family.name not in seen
        seen.add(family.name)
        assert re.fullmatch(r"hub(_[a-z]+)+", family.name)
        assert family.documentation
        assert not re.search(r"_(total|sum|count|bucket|gauge|counter|histogram|ms|milliseconds)$", family.name)
        if family.type == "counter":
            assert {sample.name for sample in family.samples} <= {f"{family.name}_total"}
        for sample in family.samples:
            assert "alert" not in sample.labels
            assert ("le" in sample.labels) == sample.name.endswith("_bucket")
