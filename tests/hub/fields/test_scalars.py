import pytest
from pydantic import TypeAdapter, ValidationError

from hub.fields.scalars import QuantityName

NAMES: TypeAdapter[str] = TypeAdapter(QuantityName)


@pytest.mark.parametrize("name", ["temperature", "wind", "pm2_5", "t1", "lzeq"])
def test_a_quantity_may_have_any_plain_name(name: str) -> None:
    assert NAMES.validate_python(name) == name


@pytest.mark.parametrize("name", ["lp", "laeq_15m", "reachable", "status", "ok", "at", "quality", "unit_id"])
def test_a_name_that_the_hub_uses_itself_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"must be another name: the hub has a {name} of its own"):
        NAMES.validate_python(name)


@pytest.mark.parametrize("name", ["", "Temperature", "2nd", "a-b", "a b", "a,b", "x" * 41, "µg"])
def test_a_name_that_rules_and_columns_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="small letters"):
        NAMES.validate_python(name)
