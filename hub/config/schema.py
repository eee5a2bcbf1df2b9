"""The JSON Schema of config.yaml for editors: durations and sizes as text, secrets as text or from files."""

from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from alerts.model.duration import format_duration, parse_duration
from hub.config.models import Config
from hub.fields.scalars import parse_size

_DURATION = {
    "type": ["string", "integer"],
    "pattern": r"^(\d+(\.\d+)?\s*(ms|s|m|h|d|w|y)|0)$",
    "if": {"type": "number"},
    "then": {"const": 0, "errorMessage": "a number needs a unit: write 300s, 5m, 2h"},
    "description": "A duration: a number and a unit, such as 250ms, 1s, 5m, 2h, 14d, 2y; or 0.",
}
_SIZE = {
    "type": "string",
    "pattern": r"^\d+(\.\d+)?\s*([kK]B|MB|GB|TB)$",
    "description": "A size: a number and a unit, such as 500MB or 20GB.",
}
_FROM_FILE = {
    "type": "object",
    "properties": {"file": {"type": "string", "description": "The value is the content of this file."}},
    "required": ["file"],
    "additionalProperties": False,
}


def config_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of config.yaml before variables are replaced."""
    schema = Config.model_json_schema(schema_generator=_AsWritten)
    return {"$schema": GenerateJsonSchema.schema_dialect, **_secrets_from_files(schema)}


class _AsWritten(GenerateJsonSchema):
    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        function: object = schema["function"]["function"]
        if function is parse_duration:
            return dict(_DURATION)
        return dict(_SIZE) if function is parse_size else super().function_before_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        default = schema.get("default")
        inner = self.generate_inner(schema["schema"])
        if isinstance(default, BaseModel | SecretStr) or default is None:
            return inner
        if inner == _DURATION and isinstance(default, float):
            return {**inner, "default": format_duration(default)}
        return super().default_schema(schema)


def _secrets_from_files(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_secrets_from_files(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "password":
        text = {
            key: value for key, value in schema.items() if key not in ("title", "default", "writeOnly", "format")
        }
        titled = {"title": schema["title"]} if "title" in schema else {}
        return {**titled, "anyOf": [text, _FROM_FILE]}
    return {key: _secrets_from_files(value) for key, value in schema.items()}
