"""Health: alive, ready, and the status of each part. It is open to everybody, so it names no unit."""

from collections import Counter
from typing import Any

import anyio
from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from alerts.model.moments import rfc3339
from hub.database.checks import VITAL_PARTS
from hub.database.errors import describe_error
from hub.runtime.supervisor import Child, ChildState
from hub.store.storage_alerts import broken_parts
from hub.web.access import PartsOf
from hub.web.auth.roles import for_everybody
from hub.web.parts import Parts

_DATABASE_S = 2.0

Check = dict[str, Any]
"""`status` (ok, degraded, unhealthy, down) and its explanation."""

_WORST_FIRST = ("down", "unhealthy", "degraded")


def health_routes() -> APIRouter:
    """GET /livez, /readyz, /healthz."""
    routes = APIRouter(tags=["health"], dependencies=for_everybody())
    routes.add_api_route("/livez", get_livez)
    routes.add_api_route("/readyz", get_readyz)
    routes.add_api_route("/healthz", get_healthz)
    return routes


async def get_livez() -> dict[str, str]:
    """200 while the process answers."""
    return {"status": "ok"}


async def get_readyz(parts: PartsOf, response: Response) -> dict[str, Any]:
    """200 when the database is up and every essential child runs, else 503."""
    checks = {"database": await _database(parts), "essential": _essential(parts)}
    ready = all(check["status"] != "down" for check in checks.values())
    response.status_code = 200 if ready else 503
    return {"status": "ok" if ready else "down", "checks": checks}


async def get_healthz(parts: PartsOf, response: Response) -> dict[str, Any]:
    """Every check. 200 while all parts work or are degraded; 503 when the hub is not ready or a feed unhealthy."""
    checks = {
        "database": await _database(parts),
        "essential": _essential(parts),
        "children": _children(parts),
        "configuration": _configuration(parts),
        "recorder": _recorder(parts),
        "quarantine": await _quarantine(parts),
        "units": _units(parts),
        "rules": _rules(parts),
        "equipment": _equipment(parts),
        "receivers": _receivers(parts),
    }
    statuses = {check["status"] for check in checks.values()}
    status = next((worse for worse in _WORST_FIRST if worse in statuses), "ok")
    response.status_code = 503 if status in ("down", "unhealthy") else 200
    return {
        "status": status,
        "hub": parts.config.hub.name,
        "version": parts.version,
        "uptime_s": round(parts.clock.steady() - parts.started_s, 1),
        "checks": checks,
    }


async def _database(parts: Parts) -> Check:
    """Whether every part of the storage works: rows, deliveries, commits to the disk, and the database file."""
    try:
        with anyio.fail_after(_DATABASE_S):
            broken = await parts.database.check()
    except SQLAlchemyError as error:
        return {"status": "down", "reason": describe_error(error)}
    except TimeoutError:
        return {"status": "down", "reason": "too slow"}
    broken |= broken_parts(parts.database, parts.recorder, parts.alerts)
    if not broken:
        return {"status": "ok"}
    vital = [part for part in broken if part in VITAL_PARTS]
    worst = (vital or list(broken))[0]
    return {"status": "down" if vital else "degraded", "reason": broken[worst], "broken": broken}


def _essential(parts: Parts) -> Check:
    away = sum(child.essential and child.state is not ChildState.RUNNING for child in _every_child(parts))
    return {"status": "down" if away else "ok", "not_running": away}


def _children(parts: Parts) -> Check:
    failed = sum(child.state is ChildState.FAILED for child in _every_child(parts))
    return {"status": "degraded" if failed else "ok", "failed": failed}


def _configuration(parts: Parts) -> Check:
    reload = parts.reload
    if reload is None or reload.reason is None:
        return {"status": "ok"}
    reason = f"the changed file was rejected: {reload.where or 'see the log'}"
    return {"status": "degraded", "reason": reason, "since": rfc3339(reload.at)}


def _every_child(parts: Parts) -> list[Child]:
    return [child for group in parts.supervisors for child in group.children.values()]


def _recorder(parts: Parts) -> Check:
    recorder = parts.recorder
    return {
        "status": "degraded" if recorder.failure else "ok",
        "pending": recorder.pending,
        "dropped": recorder.dropped,
    }


async def _quarantine(parts: Parts) -> Check:
    """Whether the quarantine file is empty; it has rows that no database accepts, until people move it away."""
    quarantine = parts.database.quarantine
    is_empty = await parts.database.run_in_thread(quarantine.check_empty)
    return {"status": "ok" if is_empty else "degraded", "set_aside": quarantine.counts.total()}


def _units(parts: Parts) -> Check:
    unreachable = sum(unit.reachable is False and not unit.is_released for unit in parts.units.values())
    return {"status": "degraded" if unreachable else "ok", "units": len(parts.units), "unreachable": unreachable}


def _rules(parts: Parts) -> Check:
    uncovered = sum(len(unit.uncovered_rules) for unit in parts.units.values())
    return {"status": "degraded" if uncovered else "ok", "uncovered": uncovered}


def _equipment(parts: Parts) -> Check:
    healths = Counter(feed.health for feed in parts.feeds.values())
    status = next((worse for worse in _WORST_FIRST if healths[worse]), "ok")
    return {
        "status": status,
        "feeds": len(parts.feeds),
        "degraded": healths["degraded"],
        "unhealthy": healths["unhealthy"],
    }


def _receivers(parts: Parts) -> Check:
    failing = sum(one.is_failing or one.is_held for one in parts.dispatchers.values())
    return {
        "status": "degraded" if failing else "ok",
        "receivers": len(parts.dispatchers),
        "failing": failing,
    }
