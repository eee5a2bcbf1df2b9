"""The OpenAPI document held against the server, with invented requests: no 5xx, no answer it does not describe."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hub.equipment.feed import EquipmentFeed
from tests.hub.equipment.scripted import ScriptedView, machine
from tests.hub.web.parts import TOKENS, open_site, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_invented_request_breaks_the_contract(tmp_path: Path, mode: GenerationMode) -> None:
    headers = {"authorization": f"Bearer {TOKENS[2]['token']}"}
    asked = 0
    broken: list[str] = []
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_site(tmp_path, TOKENS)) as site,
        portal.wrap_async_context_manager(serving(site)) as at,
    ):
        portal.call(site.poll)
        portal.call(site.sample, 80.0)
        portal.call(site.committed)
        site.parts.feeds["fab"] = EquipmentFeed("fab", ScriptedView(machine(1)).source(), site.parts.clock, 300.0)
        portal.call(site.parts.feeds["fab"].refresh)
        schema = schemathesis.openapi.from_url(f"http://{at}/openapi.json")
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()

            @settings(
                max_examples=8,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                derandomize=True,
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(checks=CHECKS, headers=headers)

            try:
                ask()
            except Unsatisfiable:
                continue  # nothing about it can be wrong
            except FailureGroup as failures:
                broken += [f"{operation.label}: {failure}" for failure in failures.exceptions]
    assert broken == []
    assert asked > 20
