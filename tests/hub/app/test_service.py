"""The reload: a rejected one shows wherever somebody looks, and what mends it is noticed."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from hub.app import service
from hub.app.composition import Hub, open_hub
from hub.app.service import _Reloader
from hub.config.file import load_config
from hub.web.routes.app import create_app

pytestmark = pytest.mark.anyio

GOOD = "hub: {listen: '127.0.0.1:0'}\n"


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Hub, _Reloader, Path]]:
    file = folder / "config.yaml"
    file.write_text(GOOD)
    loaded = load_config(file, {})
    async with open_hub(loaded.config) as hub:
        yield hub, _Reloader(hub, file, loaded), file


async def shown(hub: Hub) -> tuple[int, dict[str, Any], str]:
    transport = httpx.ASGITransport(create_app(hub.parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as client:
        health, metrics = await client.get("/healthz"), await client.get("/metrics")
    lines = [line for line in metrics.text.splitlines() if line.startswith("hub_config_reload")]
    return health.status_code, health.json()["checks"]["configuration"], "\n".join(lines)


async def test_a_rejected_reload_shows_in_health_and_metrics_until_the_file_is_good(tmp_path: Path) -> None:
    async with running(tmp_path) as (hub, reloader, file):
        assert (await shown(hub))[1] == {"status": "ok"}
        file.write_text(GOOD + "units: [{id: a, host: hunter2 x, port: 70000}]\n")
        await reloader.reload()
        status, check, metrics = await shown(hub)
        assert (status, check["status"]) == (200, "degraded")
        assert "2 problems, first at " in check["reason"]
        assert "config.yaml:2:23: units[0].host" in check["reason"]
        assert "hunter2" not in check["reason"]
        assert "hub_config_reload_successful 0.0" in metrics
        rejected_at = hub.parts.reload
        file.write_text(GOOD)
        await reloader.reload()
        status, check, metrics = await shown(hub)
        assert check == {"status": "ok"}
        assert "hub_config_reload_successful 1.0" in metrics
        assert "hub_config_reload_at_seconds 1." in metrics
        assert hub.parts.reload != rejected_at


async def test_mending_a_file_that_only_the_rejected_configuration_names_is_noticed(tmp_path: Path) -> None:
    more, stop = tmp_path / "more.yaml", anyio.Event()
    more.write_text("[{id: a}]")
    async with running(tmp_path) as (hub, reloader, file), anyio.create_task_group() as tasks:
        tasks.start_soon(reloader.run_watch, stop)
        with anyio.fail_after(20):
            file.write_text(GOOD + "include: [more.yaml]\n")
            while hub.parts.reload is None or hub.parts.reload.reason is None:
                await anyio.sleep(0.05)
            more.write_text("[]")
            while hub.parts.reload.reason is not None:
                await anyio.sleep(0.05)
        stop.set()


async def test_a_named_pipe_is_rejected_and_does_not_hold_up_the_next_reload(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    async with running(tmp_path) as (hub, reloader, file):
        with anyio.fail_after(10):
            file.write_text("hub: {listen: '127.0.0.1:0', tokens: [{name: a, token: {file: fifo}, role: viewer}]}")
            await reloader.reload()
            assert hub.parts.reload is not None
            assert "is not a regular file" in (hub.parts.reload.reason or "")
            file.write_text(GOOD)
            await reloader.reload()
        assert hub.parts.reload.reason is None


async def test_a_disk_that_does_not_answer_rejects_the_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = anyio.Event()

    def wait(path: Path) -> None:
        anyio.from_thread.run(answers.wait)

    monkeypatch.setattr(service, "_READ_WITHIN_S", 0.05)
    monkeypatch.setattr(service, "load_config", wait)
    async with running(tmp_path) as (hub, reloader, _):
        await reloader.reload()
        answers.set()
        assert hub.parts.reload is not None
        assert "the disk it is on" in (hub.parts.reload.reason or "")
