"""Translates pydantic's errors into problems of the file: position, path, and what to write instead."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hub.config.models import Config
from hub.config.problem import Problem
from hub.config.yaml_source import Loc, Source
from hub.fields.spelling import Suggestions

_NAME_PATTERN = "^[A-Za-z0-9_.-]{1,64}$"

_WORDING = {
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "union_tag_not_found": "is required",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "finite_number": "must be a finite number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} {field_type}",
    "too_long": "must have at most {max_length} {field_type}",
}


def written_as_text(error: ValidationError, source: Source) -> bool:
    """Replace values such as `42` or `true` by their text where text is required; True when any was replaced."""
    changed = False
    for detail in error.errors(include_url=False, include_context=False):
        loc = known_loc(detail["loc"], source)
        text = source.spots[loc].text
        if detail["type"] == "string_type" and text and isinstance(detail["input"], int | float):
            parent: Any = source.data
            for part in loc[:-1]:
                parent = parent[part]
            parent[loc[-1]] = text
            changed = True
    return changed


def problems_of(error: ValidationError, source: Source) -> Iterator[Problem]:
    """One problem per position in the file."""
    seen: set[Loc] = set()
    for detail in error.errors(include_url=False):
        loc = known_loc(detail["loc"], source)
        if detail["type"] == "missing":
            loc = (*loc, detail["loc"][-1])
        elif detail["type"].startswith("union_tag_"):
            loc = (*loc, "kind")
        if loc not in seen:
            seen.add(loc)
            at_key = detail["type"] == "extra_forbidden" or detail["loc"][-1] == "[key]"
            yield source.problem(loc, _message(detail, source.suggestions), at_key)


def known_loc(loc: Loc, source: Source) -> Loc:
    """The loc without parts that are not in the file, such as tags of unions."""
    known: Loc = ()
    for part in loc:
        if (*known, part) in source.spots:
            known = (*known, part)
    return known


def _message(detail: ErrorDetails, suggestions: Suggestions) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        return f"unknown key{_kind_with(detail['loc']) or _similar_key(detail['loc'], suggestions)}"
    if kind == "value_error":
        return str(context["error"])
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = re.findall(r"'([^']*)'", context.get("expected") or context["expected_tags"])
        word = value.get("kind") if isinstance(value, dict) else value
        return f"must be {_either(allowed)}{suggestions.did_you_mean(str(word), allowed)}"
    if kind == "string_pattern_mismatch" and context["pattern"] == _NAME_PATTERN:
        return "must be 1 to 64 letters, digits or any of _ . -"
    if kind.startswith("int_"):
        message = "must be a whole number"
    elif kind.startswith("float_"):
        message = "must be a number"
    elif kind in _WORDING:
        counted = "characters" if context.get("field_type") == "Value" else "entries"
        message = _WORDING[kind].format(**context | {"field_type": counted})
    else:
        message = detail["msg"].replace("Input should", "must")
        message = message[:1].lower() + message[1:]
    if value is None and kind in ("tuple_type", "list_type"):
        return "is empty; write [], or remove the key"
    return f"is empty; it {message}" if value is None and message.startswith("must be") else message


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _similar_key(loc: Loc, suggestions: Suggestions) -> str:
    return suggestions.did_you_mean(str(loc[-1]), _keys_of(_models_at(loc[:-1])))


def _kind_with(loc: Loc) -> str:
    """Where the key belongs to another kind of the same list, which one."""
    if len(loc) < len(("units", 0, "nl43", "key")):
        return ""
    *outer, kind, key = loc
    if "kind" not in _keys_of(own := _models_at((*outer, kind))):
        return ""
    for model in _models_at(tuple(outer)):
        if model not in own and "kind" in model.model_fields and key in _keys_of([model]):
            other = get_args(model.model_fields["kind"].annotation)[0]
            return f" of kind {kind}; {outer[0]} of `kind: {other}` have it"
    return ""


def _keys_of(models: Iterable[type[BaseModel]]) -> list[str]:
    return [_key(model, name) for model in models for name in model.model_fields]


def _models_at(loc: Loc) -> list[type[BaseModel]]:
    """The models of the mapping at a loc of pydantic, which names the branch of a union."""
    models: list[type[BaseModel]] = [Config]
    for part in loc:
        if isinstance(part, int):
            continue
        fields = [
            field for model in models for name, field in model.model_fields.items() if _key(model, name) == part
        ]
        if fields:
            models = [model for field in fields for model in _models_in(field.annotation)]
        else:
            tagged = [
                m
                for m in models
                if "kind" in m.model_fields and part in get_args(m.model_fields["kind"].annotation)
            ]
            models = tagged or models  # else it is a key that people choose, such as the name of a quantity
    return models


def _key(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _models_in(annotation: object) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
