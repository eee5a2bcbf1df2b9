import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.delivery.excerpt import MOST_BYTES, Excerpts
from tests.alerts.fakes import SECRET

SLACK = "https://hooks.slack.com/services/T00000000/B00000000/XXXXsecretXXXX"
PLAIN = Excerpts("http://x/hook", {}, [])


def test_an_excerpt_is_the_beginning_on_one_line() -> None:
    assert PLAIN.excerpt(b"invalid_payload") == "invalid_payload"
    assert PLAIN.excerpt(b"<html>\r\n\t<h1>Not  found</h1>\n") == "<html> <h1>Not found</h1>"
    long = PLAIN.excerpt(b"x" * MOST_BYTES)
    assert long is not None
    assert len(long) == 300


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_answer_without_text_has_none(body: bytes) -> None:
    assert PLAIN.excerpt(body) is None


@given(st.binary(max_size=2 * MOST_BYTES))
def test_an_excerpt_of_anything_can_be_printed_and_stored(body: bytes) -> None:
    excerpt = PLAIN.excerpt(body)
    assert excerpt is None or (excerpt.isprintable() and len(excerpt) <= 300)
    assert excerpt is None or "\x00" not in excerpt


def test_no_part_of_the_address_that_may_be_a_token_is_shown() -> None:
    found = Excerpts(SLACK + "?key=hunter2hunter2#frag", {}, []).excerpt(
        f"no team for {SLACK} key=hunter2hunter2 T00000000 xxxxSECRETxxxx".encode()
    )
    assert found is not None
    assert "secret" not in found.lower()
    assert "hunter2" not in found
    assert "T00000000" not in found
    assert found.startswith("no team for https://hooks.slack.com/")


def test_no_header_no_secret_and_no_signature_is_shown() -> None:
    basic = base64.b64encode(b"user:hunter2").decode()
    headers = {"Authorization": f"Basic {basic}", "Cookie": "sid=tiger-woods; b=1", "X-Api-Key": "a/b c\"d'é"}
    excerpts = Excerpts("http://x/hook", headers, [SECRET])
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    for value in ("hunter2", basic, "tiger-woods", "a/b c\"d'é", SECRET, signature):
        for form in (
            value,
            json.dumps(value),
            html.escape(value),
            quote(value, safe=""),
            value.replace("/", "\\/"),
        ):
            found = excerpts.excerpt(f"bad credentials: {form}!".encode()) or ""
            for part in ("hunter2", basic, "tiger", "b c", "QUJDR", "g0hM9"):
                assert part not in found, form
            assert found.startswith("bad credentials: ")


def test_a_secret_cut_off_by_the_end_of_what_is_read_is_not_shown() -> None:
    secret = "s" * 30 + "hunter2" + "t" * 30
    excerpts = Excerpts("http://x/hook", {"X": secret}, [])
    whole = (secret.encode() + b" ") * 100
    assert "hunter2" not in (excerpts.excerpt(whole[:MOST_BYTES]) or "")


def test_the_name_of_a_scheme_is_no_secret() -> None:
    excerpts = Excerpts("http://x/hook", {"Authorization": "Bearer hunter2"}, [])
    assert excerpts.excerpt(b"the bearer token hunter2 is unknown") == "the bearer token *** is unknown"
