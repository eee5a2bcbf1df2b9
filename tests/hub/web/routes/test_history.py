"""History over HTTP."""

from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from alerts.model.moments import rfc3339
from hub.database.lane import Lane
from hub.store import export
from tests.hub.web.parts import Site, serving

pytestmark = pytest.mark.anyio

PATH = "/api/units/gate-a/history"


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


@pytest.fixture
async def past(site: Site) -> Site:
    """Seven readings in the database."""
    await site.poll(times=7)
    await site.committed()
    return site


async def test_raw_readings_come_in_pages(past: Site) -> None:
    async with past.client() as client:
        first = (await client.get(PATH, params={"limit": 4})).json()
        second = (await client.get(PATH, params={"limit": 4, "cursor": first["next_cursor"]})).json()
    assert [item["sequence"] for item in first["items"] + second["items"]] == [1, 2, 3, 4, 5, 6, 7]
    assert second["next_cursor"] is None
    assert first["items"][0]["at"].endswith("Z")
    assert first["items"][0]["lp"] is not None


async def test_steps_have_means_and_extremes(past: Site) -> None:
    async with past.client() as client:
        items = (await client.get(PATH, params={"step": "1h"})).json()["items"]
    assert sum(item["count"] for item in items) == 7
    assert set(items[0]) == {"at", "lp_max", "lp_min", "leq_lp", "count", "coverage"}


async def test_metrics_are_chosen_by_comma_or_repetition(past: Site) -> None:
    async with past.client() as client:
        together = (await client.get(PATH, params={"metrics": "lp,leq"})).json()["items"][0]
        apart = (await client.get(PATH, params={"metrics": ["lp", "leq"]})).json()["items"][0]
    assert together == apart
    assert "lmax" not in together


async def test_csv_is_the_whole_range_with_a_header(past: Site) -> None:
    async with past.client() as client:
        answer = await client.get(PATH, params={"format": "csv", "metrics": "lp", "limit": 2})
    lines = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert lines[0].startswith("unit_id,at,sequence,lp")
    assert len(lines) == 8


async def test_to_is_not_included(past: Site) -> None:
    snapshot = past.parts.units["gate-a"].latest
    assert snapshot is not None
    async with past.client() as client:
        answer = await client.get(PATH, params={"to": rfc3339(snapshot.at), "from": "2020-01-01T00:00:00Z"})
    assert all(item["sequence"] < 7 for item in answer.json()["items"])


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"from": "yesterday"}, "query.from"),
        ({"from": "2026-03-18T22:00:00"}, "query.from"),
        ({"step": "5 parsecs"}, "query.step"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "10001"}, "query.limit"),
        ({"format": "xml"}, "query.format"),
    ],
)
async def test_a_bad_parameter_is_named(site: Site, params: dict[str, str], where: str) -> None:
    async with site.client() as client:
        answer = await client.get(PATH, params=params)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["where"] == where


@pytest.mark.parametrize(
    "params",
    [
        {"metrics": "loudness"},
        {"step": "1500ms"},
        {"step": "3y"},
        {"cursor": cursor("2026-01-01T00:00:00+00:00|99999999999999999999")},
        {"cursor": cursor("2026-01-01T00:00:00|3")},
        {"cursor": "made-up"},
        {"from": "2026-03-19T00:00:00Z", "to": "2026-03-18T00:00:00Z"},
        {"metrics": "loudness", "format": "csv"},
    ],
)
async def test_what_cannot_be_answered_is_a_problem_422(site: Site, params: dict[str, str]) -> None:
    async with site.client() as client:
        answer = await client.get(PATH, params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_a_step_cursor_far_in_the_future_is_the_end(past: Site) -> None:
    async with past.client() as client:
        params = {"step": "1m", "cursor": cursor("2026-01-01T00:00:00+00:00|999999999999999999")}
        answer = await client.get(PATH, params=params)
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})


@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:59-12:00|1",
        "0001-01-01T00:00:00+14:00|1",
        "2026-01-01T00:00:00+00:00|" + "9" * 100,
        "2026-01-01T00:00:00+00:00|-1",
        "2026-01-01T00:00:00+23:59:59.999999|1\x00",
        "2026-01-01T00:00:00+00:00",
        "|",
        "\udc80".encode("utf-8", "surrogatepass").decode("latin1"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"step": "1m"}, {"step": "1s", "metrics": "lp_max"}])
async def test_a_cursor_that_was_never_given_out_is_422_and_named(
    site: Site, text: str, more: dict[str, str]
) -> None:
    async with site.client() as client:
        answer = await client.get(PATH, params={"cursor": cursor(text), **more})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "query.cursor"


@pytest.mark.parametrize("more", [{}, {"format": "csv"}, {"step": "1h"}])
async def test_metrics_asked_for_again_and_again_are_one(past: Site, more: dict[str, str]) -> None:
    async with past.client() as client:
        many = await client.get(PATH, params={"metrics": ",".join(["lp"] * 1900), **more})
        one = await client.get(PATH, params={"metrics": "lp", **more})
        wrong = await client.get(PATH, params={"metrics": ",".join(f"m{n}" for n in range(5000)), **more})
    assert many.text == one.text
    assert (wrong.status_code, wrong.json()["errors"][0]["where"]) == (422, "query.metrics")
    assert len(wrong.text) < 1000


async def test_a_long_page_is_read_in_pieces_and_looks_like_one(
    past: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with past.client() as client:
        whole = [(await client.get(PATH, params=params)).json() for params in ({}, {"limit": 5}, {"step": "1s"})]
        monkeypatch.setattr(export, "_ITEMS_PER_PIECE", 2)
        pieces = [(await client.get(PATH, params=params)).json() for params in ({}, {"limit": 5}, {"step": "1s"})]
        rest = (await client.get(PATH, params={"cursor": pieces[1]["next_cursor"]})).json()
    assert pieces == whole
    assert [item["sequence"] for item in pieces[1]["items"] + rest["items"]] == [1, 2, 3, 4, 5, 6, 7]


async def test_an_answer_that_the_database_breaks_off_is_not_ended(
    past: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_ITEMS_PER_PIECE", 2)
    query, reads = past.parts.database.query, 0

    async def fail_at_the_third(work: Any, **how: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 3:
            raise OperationalError("SELECT", None, Exception("gone"))
        return await query(work, **how)

    monkeypatch.setattr(past.parts.database, "query", fail_at_the_third)
    async with serving(past) as at, httpx.AsyncClient(base_url=f"http://{at}") as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(PATH)


async def test_a_query_that_finds_no_place_is_told_when_to_ask_again(site: Site) -> None:
    lane = site.parts.database.lane = Lane(1, 0, 5.0)
    async with lane.slot(), site.client() as client:
        answers = [
            await client.get(path)
            for path in ("/api/units/gate-a/history", "/api/units/gate-a/history?format=csv", "/api/alerts")
        ]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "2")] * 3
