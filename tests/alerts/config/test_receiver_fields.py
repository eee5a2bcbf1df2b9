from typing import Any

import pytest
from pydantic import ValidationError

from alerts.config.rule import Receiver
from alerts.delivery.webhook import Webhook
from tests.alerts.fakes import SECRET

GOOD = {"name": "ops", "url": "https://example.org:8443/hook?token=hunter2"}


@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [
        ("url", "ftp://example.org/hunter2", "write the url as"),
        ("url", "https:///hunter2", "write the url as"),
        ("url", "http://example.org:99999/hunter2", "write the url as"),
        ("url", "http://example.org:0/hunter2", "write the url as"),
        ("url", "http://xn--a/hunter2", "write the url as"),
        ("url", "http://\N{SNOWMAN}.example.org/hunter2", "write the url as"),
        ("url", "http://999.1.1.1/hunter2", "write the url as"),
        ("url", "http://[::1]x/hunter2", "write the url as"),
        ("url", "http://[v1.a]/hunter2", "write the url as"),
        ("url", "http://example.org/a b?hunter2", "does not allow"),
        ("url", "http://me:hunter2@example.org/", "under headers"),
        ("secret", "hunter2", "write whsec_"),
        ("secret", [SECRET, "whsec_hunter2?"], "not base64"),
        ("secret", "whsec_abc", "2 bytes after whsec_, not 24 to 64"),
        ("secret", [], "leave `secret` out"),
        ("headers", {"X Y": "hunter2"}, "no name of a header"),
        ("headers", {"X-Y\r\nZ": "hunter2"}, "no name of a header"),
        ("headers", {"X-Y": "a\r\nZ: hunter2"}, "does not allow"),
        ("headers", {"X-Y": "hunter2 "}, "does not allow"),
        ("headers", {"Content-Length": "0"}, "set by the hub"),
        ("headers", {"Webhook-Signature": "hunter2"}, "set by the hub"),
        ("rate_limit", "often", "write a count and a period"),
        ("drain", "0/s", "write a count and a period"),
        ("timeout", "0s", "write a duration"),
    ],
)
def test_what_could_never_be_sent_is_refused_without_secrets(field: str, value: Any, advice: str) -> None:
    with pytest.raises(ValidationError, match=advice) as refused:
        Receiver.model_validate({**GOOD, field: value})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "host",
    ["münchen.example", "xn--mnchen-3ya.example", "10.0.0.4:80", "[::1]:8080", "[fe80::1%25eth0]", "a_b", "h:"],
)
def test_what_is_accepted_can_be_posted_to(host: str) -> None:
    receiver = Receiver.model_validate({**GOOD, "url": f"https://{host}/hook"})
    Webhook(receiver, "test")


def test_a_receiver_may_have_all_there_is() -> None:
    receiver = Receiver.model_validate(
        {
            **GOOD,
            "secret": [SECRET, SECRET[:-4]],
            "headers": {"Authorization": "Bearer hunter2", "X-Site": "Zürich", "X-Empty": ""},
            "rate_limit": "10/min",
            "timeout": "5s",
        }
    )
    assert "hunter2" not in repr(receiver)
