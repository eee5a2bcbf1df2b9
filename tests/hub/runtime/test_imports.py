"""Nothing is imported while the hub runs, because no file descriptor may be left."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
_ASK = """
import json, sys
import hub.app.composition
from hub.runtime.imports import load_everything
load_everything()
before = set(sys.modules)
for line in json.loads(sys.argv[1]):
    exec(line)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def late_lines() -> Iterator[str]:
    """What the running hub does inside functions that may import: import statements, and parts of anyio by name."""
    for package in ("hub", "alerts"):
        for path in (ROOT / package).rglob("*.py"):
            if path.relative_to(ROOT).as_posix().startswith(("hub/cli/", "hub/bench/")):
                continue
            tree = ast.parse(path.read_text())
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    for node in ast.walk(function):
                        if isinstance(node, ast.Import | ast.ImportFrom):
                            yield ast.unparse(node)
                        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "anyio":
                            yield f"import anyio; {ast.unparse(node)}"


def test_nothing_is_imported_for_the_first_time_while_the_hub_runs() -> None:
    lines = sorted(set(late_lines()))
    assert any("from_thread" in line for line in lines)
    asked = subprocess.run(
        [sys.executable, "-c", _ASK, json.dumps(lines)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(asked.stdout) == []
