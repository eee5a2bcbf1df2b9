"""Errors are RFC 9457 problems; generated requests keep to the contract."""

import pytest

from hub.web.http.problems import busy
from tests.hub.web.parts import Site

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/nowhere", 404),
        ("PATCH", "/api/units", 405),
        ("POST", "/api/login", 422),
        ("GET", "/api/alerts?limit=x", 422),
    ],
)
async def test_every_error_is_a_problem(site: Site, method: str, path: str, status: int) -> None:
    async with site.client() as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]
    if status == 405:
        assert answer.headers["allow"]


async def test_a_crash_reveals_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        raise RuntimeError("password is hunter2")

    monkeypatch.setattr(site.parts.units["gate-a"], "frame", crash)
    async with site.client() as client:
        answer = await client.get("/api/units/gate-a")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text


async def test_a_secret_in_a_bad_body_is_not_repeated(site: Site) -> None:
    async with site.client() as client:
        answer = await client.post("/api/login", json={"token": {"secret": "hunter2"}})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_the_page_leads_to_the_documentation_that_needs_no_internet(site: Site) -> None:
    async with site.client() as client:
        assert (await client.get("/")).headers["location"] == "/docs"
        docs = (await client.get("/docs")).text
        script = docs.partition('<script src="')[2].partition('"')[0]
        assert script.startswith("/")
        assert (await client.get(script)).status_code == 200
    assert "https://" not in docs


def test_retry_after_is_whole_seconds_and_at_least_one() -> None:
    assert [busy("later", wait_s).headers["Retry-After"] for wait_s in (0.0, 1.0, 1.2, 60.0)] == [
        "1",
        "1",
        "2",
        "60",
    ]
