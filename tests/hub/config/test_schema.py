"""The schema accepts what the hub accepts."""

import json
import re

import pytest
from jsonschema_rs import Draft202012Validator

from hub.config.schema import config_schema


def test_durations_are_strings_with_a_pattern_and_defaults_as_written() -> None:
    poll = config_schema()["$defs"]["Poll"]["properties"]
    assert poll["watched"]["default"] == "1s"
    assert re.search(poll["watched"]["pattern"], "250ms")
    assert not re.search(poll["watched"]["pattern"], "1 hour")
    assert "250ms" in poll["watched"]["description"]


VALUES = [(0, True), ("5m", True), ("0", True), (1, False), (1.5, False), ("1", False), (True, False)]


@pytest.mark.parametrize(("value", "is_fine"), VALUES)
def test_editors_refuse_a_number_without_a_unit_and_do_not_call_it_too_great(value: object, is_fine: bool) -> None:
    validator = Draft202012Validator(config_schema()["$defs"]["Poll"])
    errors = [error.message for error in validator.iter_errors({"idle": value})]
    assert (errors == []) is is_fine
    assert not any("maximum" in error for error in errors)


def test_a_secret_may_come_from_a_file_and_no_default_shows_one() -> None:
    schema = config_schema()
    password = schema["$defs"]["OracleEquipmentFeed"]["properties"]["password"]
    assert password["anyOf"][1]["required"] == ["file"]
    assert "****" not in json.dumps(schema)


def test_the_keys_are_those_of_the_file() -> None:
    schema = config_schema()
    assert {"hub", "database", "redis", "units", "feeds", "alerts", "include"} == set(schema["properties"])
    assert {"for", "in"} <= set(schema["$defs"]["Rule"]["properties"])
    assert schema["$schema"].startswith("https://json-schema.org/")
