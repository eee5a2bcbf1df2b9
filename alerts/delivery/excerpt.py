"""The beginning of a receiver's answer, fit to be kept and shown: pure."""

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from alerts.delivery.summary import one_line

MOST_BYTES = 4096
"""What has to be read of an answer."""

_MOST_CHARS = 300
_LEAST_SECRET = 4  # a shorter text is no secret, and would be found everywhere
_LEAST_SEGMENT = 6  # of a path: /hook is no secret either
_REDACTED = "***"
_SIGNED = r"v1(?:,|%2C)[A-Za-z0-9+/=%\\]{16,}|whsec_[A-Za-z0-9+/=%\\]+"
_SCHEMES = frozenset({"basic", "bearer", "digest", "token"})


class Excerpts:
    """Makes excerpts in which no secret of one receiver is shown, however the receiver wrote it down."""

    def __init__(self, url: str, headers: Mapping[str, str], secrets: Iterable[str]) -> None:
        """`headers` are those of the configuration; `secrets` are the whsec_ texts."""
        own = [*_of_url(url), *_of_headers(headers), *secrets]
        found = {form for secret in own if len(secret) >= _LEAST_SECRET for form in _forms(secret)}
        self._secrets = sorted(found, key=len, reverse=True)
        self._pattern = re.compile("|".join([_SIGNED, *map(re.escape, self._secrets)]), re.IGNORECASE)

    def excerpt(self, body: bytes) -> str | None:
        """Up to 300 characters, printable, on one line; None where there is no text. `body` is its first 4 KiB."""
        text = body[:MOST_BYTES].decode(errors="replace")
        if len(body) >= MOST_BYTES:
            text = self._without_half_a_secret(text)
        return one_line(self._pattern.sub(_REDACTED, text), _MOST_CHARS) or None

    def _without_half_a_secret(self, text: str) -> str:
        """Redacting may bring the end of what was read among the first 300 characters."""
        longest = max((len(secret) for secret in self._secrets), default=0)
        return text[: len(text) - min(longest, len(text) // 2)]


def _of_url(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    yield from (segment for segment in parts.path.split("/") if len(segment) >= _LEAST_SEGMENT)
    yield from (value for _, value in parse_qsl(parts.query, keep_blank_values=True))
    yield from (parts.query, parts.fragment)


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """Each value and its words; of Basic credentials also user and password."""
    for value in headers.values():
        yield value
        for word in re.split(r"[\s,;=]+", value):
            if word.lower() not in _SCHEMES:
                yield word
            try:
                plain = base64.b64decode(word, validate=True).decode()
            except (binascii.Error, ValueError):
                continue
            yield from (plain, plain.partition(":")[2])


def _forms(secret: str) -> Iterator[str]:
    """As it is, and as JSON, HTML and URLs write it."""
    for form in (secret, unquote(secret)):
        yield from (form, quote(form), quote(form, safe=""), html.escape(form), form.replace("/", "\\/"))
        yield from (json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1])
