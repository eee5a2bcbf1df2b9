"""Checks the fields of a receiver: its address, headers, secret, rate, time-out, proxy."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

import idna
from pydantic import SecretStr

from alerts.config.secret import parse_secret
from alerts.model.rate import parse_rate

_HOST_AND_PORT = re.compile(r"(?:^|@)(?:\[[^\[\]]*:[^\[\]]*\]|[^\[\]:@]+)(?::\d*)?$")
_DIGITS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\x20-\x7e\t\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"})


def check_url(url: str) -> None:
    """Raises ValueError, without the address, which may contain a token."""
    how = "write the url as https://host/path"
    if not url.isprintable() or " " in url:
        raise ValueError(f"the url holds a blank or a character that HTTP does not allow; {how}")
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and parts.port != 0
        _check_host(parts.netloc, parts.hostname or "")
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(f"this is no address that can be posted to; {how}")
    if "@" in parts.netloc:
        raise ValueError("write credentials under headers, as Authorization, not into the url")


def _check_host(netloc: str, host: str) -> None:
    """Raises ValueError where the client could not read the host: none, no IP address, or no name of IDNA."""
    if not _HOST_AND_PORT.search(netloc):
        raise ValueError("no host, or one with something behind it")
    if ":" in host:
        IPv6Address(host.partition("%")[0])
    elif _DIGITS.fullmatch(host):
        IPv4Address(host)
    elif host.startswith("xn--"):
        idna.decode(host)
    elif not host.isascii():
        idna.encode(host)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ValueError, without the values, which may be credentials."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header; write letters, digits and -")
        if name.lower() in _OWN or name.lower().startswith("webhook-"):
            raise ValueError(f"the header {name} is set by the hub; leave it out")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name} holds a character that HTTP does not allow, or a blank at an end")


def check_secret(secret: SecretStr | tuple[SecretStr, ...] | None) -> None:
    """Raises ValueError, without the secret, saying how to write one."""
    given = secret if isinstance(secret, tuple) else (secret,)
    if not given:
        raise ValueError("a list of secrets without a secret; leave `secret` out to send unsigned")
    for one in given:
        if one is not None:
            parse_secret(one.get_secret_value())


def check_rate(rate: str | None) -> None:
    """Raises ValueError with what to write instead."""
    if rate is not None:
        parse_rate(rate)


def check_proxy(proxy: str | None) -> None:
    """Raises ValueError, without the address, which may contain credentials."""
    if not proxy:
        return
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ValueError("write the proxy as http://host:port or https://host:port")


def check_timeout(timeout_s: float) -> None:
    """Raises ValueError with what to write instead."""
    if timeout_s <= 0:
        raise ValueError("no receiver answers within 0 s; write a duration such as 15s")
