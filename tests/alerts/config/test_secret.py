import base64

import pytest

from alerts.config.secret import parse_secret


def _secret(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_a_key(size: int) -> None:
    assert parse_secret(_secret(size)) == bytes(range(size))
    assert parse_secret(_secret(size).rstrip("=")) == bytes(range(size))


@pytest.mark.parametrize(
    "secret", ["plain-text", "whsec_not base64!", "whsec_", "whsec_abc", _secret(23), _secret(65)]
)
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="write whsec_") as refused:
        parse_secret(secret)
    assert secret == "whsec_" or secret not in str(refused.value)
