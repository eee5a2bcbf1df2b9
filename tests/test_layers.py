"""The layers: which folder may import which, where each library may be imported, and which files are pure."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for package in ("hub", "alerts") for path in (ROOT / package).rglob("*.py"))
MOST_FILES = 19  # in one folder, without its __init__

# From the ground up: a folder imports only what is named here, and nothing that is named below it.
MAY_IMPORT = {
    "alerts.model": "",
    "alerts.delivery.formats": "alerts.model",
    "alerts.config": "alerts.model alerts.delivery.formats",
    "alerts.store": "alerts.model",
    "alerts.rules": "alerts.model alerts.config",
    "alerts.delivery": "alerts.model alerts.config alerts.store alerts.delivery.formats",
    "alerts.commits": "alerts.model alerts.config alerts.store alerts.rules alerts.delivery",
    "alerts": "alerts.model alerts.config alerts.store alerts.rules alerts.delivery alerts.commits",
    "alerts.testing": "alerts.model alerts.config alerts.rules alerts.delivery alerts.delivery.formats",
    "hub.runtime": "",
    "hub.simulators": "",
    "hub.simulators.nl43": "hub.simulators",
    "hub.simulators.oracle": "",
    "hub.cache": "hub.runtime",
    "hub.oracle": "hub.cache hub.runtime",
    "hub.database": "alerts.store hub.runtime",
    "hub.readings": "alerts.model",
    "hub.fields": "alerts.model hub.cache",
    "hub.instruments": "alerts.model hub.fields hub.readings hub.runtime",
    "hub.links": "hub.instruments hub.runtime",
    "hub.nl43": "alerts.model hub.fields hub.instruments hub.links hub.readings hub.runtime",
    "hub.line": "alerts.model hub.fields hub.instruments hub.links hub.readings hub.runtime",
    "hub.kinds": "hub.instruments hub.line hub.nl43",
    "hub.config": (
        "alerts.config alerts.delivery alerts.model alerts.rules hub.fields hub.instruments hub.kinds "
        "hub.readings hub.runtime"
    ),
    "hub.store": "alerts alerts.model alerts.store hub.database hub.instruments hub.readings hub.runtime",
    "hub.store.migrations": "hub.store",
    "hub.store.migrations.versions": "",
    "hub.trace": "hub.cache hub.config hub.oracle hub.runtime",
    "hub.equipment": (
        "alerts alerts.model hub.cache hub.config hub.database hub.oracle hub.readings hub.runtime hub.store"
    ),
    "hub.units": (
        "alerts alerts.config alerts.rules alerts.delivery hub.database hub.instruments "
        "hub.kinds hub.readings hub.runtime hub.store"
    ),
    "hub.web.http": "hub.database",
    "hub.web.server": "hub.web.http",
    "hub.web": (
        "alerts alerts.model alerts.store alerts.delivery hub.cache hub.config hub.database "
        "hub.equipment hub.readings hub.runtime hub.store hub.trace hub.units hub.web.http"
    ),
    "hub.web.auth": "alerts.model hub.config hub.runtime hub.web hub.web.http",
    "hub.web.routes": (
        "alerts.config alerts.delivery alerts.model alerts.rules alerts.store hub.database hub.equipment "
        "hub.instruments hub.kinds hub.oracle hub.readings hub.runtime hub.store hub.trace hub.units "
        "hub.web hub.web.auth hub.web.http hub.web.server"
    ),
    "hub.app": (
        "alerts alerts.config alerts.delivery alerts.model alerts.rules alerts.store hub.cache hub.config "
        "hub.database hub.equipment hub.fields hub.kinds hub.runtime hub.simulators hub.simulators.nl43 "
        "hub.store hub.trace hub.units hub.web hub.web.http hub.web.routes hub.web.server"
    ),
    "hub.bench": (
        "alerts.model alerts.config alerts.rules hub.app hub.cache hub.config hub.equipment hub.oracle "
        "hub.readings hub.runtime hub.simulators.nl43 hub.trace hub.units"
    ),
    "hub.cli": (
        "alerts.config alerts.delivery alerts.model alerts.rules alerts.testing hub.app hub.bench "
        "hub.config hub.database hub.fields hub.instruments hub.kinds hub.nl43 hub.readings hub.runtime "
        "hub.simulators hub.simulators.nl43 hub.store hub.web.server"
    ),
    "hub": "hub.cli",
}

ONLY_IN = {
    "sqlmodel": ("alerts/", "hub/store/", "hub/database/"),
    "fastapi": ("hub/web/",),
    "starlette": ("hub/web/",),
    "uvicorn": ("hub/web/server/server.py", "hub/web/server/protocols.py"),
    "httpx": ("alerts/delivery/sender.py",),
    "redis": ("hub/cache/",),
    "oracledb": ("hub/oracle/",),
    "asyncio": (
        "hub/simulators/",
        "hub/web/server/server.py",
        "hub/web/server/accept.py",
        "hub/web/server/protocols.py",
        "hub/web/server/turns.py",
        "hub/oracle/",
        "hub/cache/",
    ),
    "typer": ("hub/cli",),
}
HOLD_AN_ENGINE = ("alerts/service.py", "alerts/testing/", "hub/bench/rules.py")
PURE = (
    "alerts/model/sample.py",
    "alerts/model/metrics.py",
    "alerts/model/alert.py",
    "alerts/rules/evaluate.py",
    "alerts/model/document.py",
    "alerts/model/storable.py",
    "alerts/delivery/formats/format.py",
    "alerts/delivery/formats/hub.py",
    "alerts/delivery/formats/rendering.py",
    "alerts/delivery/message.py",
    "alerts/model/moments.py",
    "alerts/model/addresses.py",
    "alerts/delivery/answers.py",
    "alerts/delivery/retries.py",
    "alerts/delivery/pace.py",
    "alerts/delivery/alert_order.py",
    "alerts/delivery/turns.py",
    "alerts/delivery/groups.py",
    "alerts/delivery/backlog.py",
    "alerts/delivery/window.py",
    "alerts/delivery/digest.py",
    "hub/runtime/backoff.py",
    "hub/nl43/protocol.py",
    "hub/readings/reading.py",
    "hub/units/reachability.py",
    "hub/store/quantity_minutes.py",
    "hub/nl43/fields.py",
    "hub/nl43/answers.py",
    "hub/nl43/commands.py",
    "hub/nl43/holdback.py",
    "hub/links/pauses.py",
    "hub/nl43/session.py",
    "hub/nl43/run.py",
    "hub/nl43/settings.py",
    "hub/nl43/labels.py",
    "hub/line/lines.py",
    "hub/line/pattern.py",
    "hub/line/fields.py",
    "alerts/config/caption.py",
)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            for alias in node.names:
                if (ROOT / node.module.replace(".", "/") / f"{alias.name}.py").exists():
                    yield f"{node.module}.{alias.name}"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return name(path.parent).replace("/", ".")


def rooms_imported(path: Path) -> set[str]:
    """The folders of the product that a file imports from, other than its own."""
    found = set()
    for module in imports(path):
        if module.split(".")[0] in ("hub", "alerts"):
            place = ROOT / module.replace(".", "/")
            found.add(module if place.is_dir() else module.rpartition(".")[0])
    return found - {room_of(path)}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    assert rooms_imported(path) <= set(MAY_IMPORT[room_of(path)].split())


def test_no_room_imports_one_that_stands_on_it() -> None:
    for room, below in MAY_IMPORT.items():
        reached, look = set[str](), below.split()
        while look:
            one = look.pop()
            if one not in reached:
                reached.add(one)
                look += MAY_IMPORT[one].split()
        assert room not in reached


def test_a_room_may_import_nothing_that_it_does_not() -> None:
    for room, allowed in MAY_IMPORT.items():
        used = set().union(*(rooms_imported(path) for path in FILES if room_of(path) == room))
        assert set(allowed.split()) == used, room


def test_a_room_is_not_crowded() -> None:
    for room in MAY_IMPORT:
        assert len([path for path in FILES if room_of(path) == room and path.stem != "__init__"]) < MOST_FILES, room


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_library_stays_where_it_is_at_home(path: Path) -> None:
    used = {module.split(".")[0] for module in imports(path)}
    for library, places in ONLY_IN.items():
        if library in used:
            assert name(path).startswith(places), f"{library} belongs to {places}"
    if not name(path).startswith(("alerts/", "hub/store/", "hub/database/")):
        of_sqlalchemy = {module for module in imports(path) if module.split(".")[0] == "sqlalchemy"}
        assert of_sqlalchemy <= {"sqlalchemy.exc"}, "outside the store SQL only fails"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_the_alert_service_decides_so_that_no_transition_is_lost(path: Path) -> None:
    if "alerts.rules.engine" in imports(path):
        assert name(path).startswith(HOLD_AN_ENGINE), "ask the AlertService instead: it commits what it decides"


@pytest.mark.parametrize("path", [ROOT / file for file in PURE], ids=name)
def test_a_pure_file_does_no_io(path: Path) -> None:
    forbidden = {"anyio", "asyncio", "socket", "sqlalchemy", "httpx", "os", "time"}
    assert not {module.split(".")[0] for module in imports(path)} & forbidden


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_says_its_purpose_first(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"


def test_the_architecture_names_every_room() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text()
    for room in MAY_IMPORT:
        assert re.search(rf"\s{room.rpartition('.')[2]}/\s", picture), f"docs/architecture.md does not name {room}"
