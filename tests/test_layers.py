"""The rooms of the house: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for package in ("hub", "alerts") for path in (ROOT / package).rglob("*.py"))

ONLY_IN = {
    "sqlmodel": ("alerts/", "hub/store/"),
    "fastapi": ("hub/web/",),
    "starlette": ("hub/web/",),
    "uvicorn": ("hub/web/server.py", "hub/web/protocols.py"),
    "httpx": ("alerts/sender.py",),
    "redis": ("hub/cache/",),
    "oracledb": ("hub/oracle/",),
    "asyncio": (
        "hub/nl43/simulator",
        "hub/web/server.py",
        "hub/web/accept.py",
        "hub/web/protocols.py",
        "hub/oracle/",
        "hub/cache/",
    ),
    "typer": ("hub/cli",),
}
PURE = (
    "alerts/sample.py",
    "alerts/alert.py",
    "alerts/evaluate.py",
    "alerts/message.py",
    "alerts/moments.py",
    "alerts/addresses.py",
    "alerts/answers.py",
    "alerts/retries.py",
    "alerts/pace.py",
    "alerts/alert_order.py",
    "alerts/turns.py",
    "alerts/backlog.py",
    "alerts/digest.py",
    "alerts/attempted.py",
    "hub/backoff.py",
    "hub/nl43/protocol.py",
    "hub/nl43/reading.py",
    "hub/nl43/fields.py",
    "hub/nl43/answers.py",
    "hub/nl43/commands.py",
    "hub/nl43/holdback.py",
    "hub/nl43/pauses.py",
    "hub/nl43/session.py",
    "hub/nl43/run.py",
    "hub/nl43/settings.py",
    "hub/nl43/labels.py",
    "alerts/caption.py",
)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    used = set(imports(path))
    if name(path).startswith("alerts/"):
        assert not [module for module in used if module.split(".")[0] == "hub"], "alerts knows nothing of the hub"
    for library, places in ONLY_IN.items():
        if library in {module.split(".")[0] for module in used}:
            assert name(path).startswith(places), f"{library} belongs to {places}"
    if not name(path).startswith(("alerts/", "hub/store/")):
        of_sqlalchemy = {module for module in used if module.split(".")[0] == "sqlalchemy"}
        assert of_sqlalchemy <= {"sqlalchemy.exc"}, "outside the store SQL only fails"
    if not name(path).startswith(("hub/web/", "hub/app.py", "hub/cli/")):
        assert not [module for module in used if module.startswith("hub.web")], "only the app imports the web"
    if not name(path).startswith(("hub/service.py", "hub/cli/", "hub/bench/")):
        assert "hub.app" not in used, "only the service and the benches import the composition root"


@pytest.mark.parametrize("path", [ROOT / file for file in PURE], ids=name)
def test_a_pure_file_does_no_io(path: Path) -> None:
    forbidden = {"anyio", "asyncio", "socket", "sqlalchemy", "httpx", "os", "time"}
    assert not {module.split(".")[0] for module in imports(path)} & forbidden


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_says_its_purpose_first(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"
