"""The schema says yes to what the hub reads."""

import json
import re

from hub.config_schema import config_schema


def test_durations_are_strings_with_a_pattern_and_defaults_as_written() -> None:
    poll = config_schema()["$defs"]["Poll"]["properties"]
    assert poll["watched"]["default"] == "1s"
    assert re.search(poll["watched"]["pattern"], "250ms")
    assert not re.search(poll["watched"]["pattern"], "1 hour")
    assert "250ms" in poll["watched"]["description"]


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
