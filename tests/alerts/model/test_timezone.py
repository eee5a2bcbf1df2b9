"""A time zone is one that this machine knows; another is refused with what to write."""

import pytest

from alerts.model.timezone import known_timezone


@pytest.mark.parametrize("name", ["UTC", "Europe/London", "Asia/Taipei"])
def test_a_zone_of_the_machine_is_known(name: str) -> None:
    assert known_timezone(name) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("europe/londen", "'europe/londen' is not a time zone; did you mean 'Europe/London'?"),
        ("../secrets", "write an IANA name such as Europe/London"),
        ("", "write an IANA name such as Europe/London"),
        ("x" * 10_000, "write an IANA name such as Europe/London"),
        ("Europe\0", "is not a time zone"),
    ],
)
def test_another_is_refused_with_what_to_write(name: str, hint: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its text is compared below
        known_timezone(name)
    assert hint in str(refused.value)
