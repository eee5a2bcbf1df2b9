"""The types of single fields of config.yaml: the values they accept, and the messages for all others."""

import re
from importlib import import_module
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from alerts.model.duration import Duration, parse_duration
from alerts.model.metrics import METRICS
from alerts.model.timezone import known_timezone

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(kB|KB|MB|GB|TB)")
_SIZE_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_LONGEST_TOKEN = 1000  # the limit of POST /api/login
_COLUMNS = ("unit_id", "at", "sequence", "measurement_state", "quality", "name", "count", "coverage")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def parse_size(text: object) -> int:
    """The bytes of a size such as `20GB`. Raises ValueError, which says what to write instead."""
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number and a unit, such as 500MB or 20GB")
    size = int(float(match[1]) * _SIZE_BYTES[match[2].upper()])
    if size < 10**6:
        raise ValueError("must be 1MB or more")
    return size


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8480` or `[::1]:8480`; port 0 is any free one. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8480")
    if ":" in host and not bracketed:
        raise ValueError("must have an IPv6 address in brackets, such as [::1]:8480")
    _host(host)
    return host, int(port)


def _listen(text: str) -> str:
    parse_listen(text)
    return text


def _host(text: str) -> str:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        labels = text.removesuffix(".").split(".")
        if len(text) > 253 or labels[-1].isdigit() or not all(map(_HOST_LABEL.fullmatch, labels)):
            raise ValueError("must be a host name or an IP address, without a port") from None
    return text


def _network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network, such as 10.0.0.5 or 10.0.0.0/24") from None
    return text


def _public_url(text: str) -> str:
    example = "must be where people reach the hub, such as https://hub.example.org"
    try:
        url = urlsplit(text)
        is_good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        raise ValueError(example) from None
    if not is_good or url.query or url.fragment or "@" in url.netloc:
        raise ValueError(example)
    return text


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


def _database_url(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    url = secret.get_secret_value()
    if url.startswith("sqlite:///"):
        file, question, options = url.removeprefix("sqlite:///").partition("?")
        if not file or file == ":memory:":
            raise ValueError("must name a file, such as sqlite:///data/hub.db; memory is lost at a restart")
        return SecretStr(f"sqlite:///{_from_folder(Path(file), info)}{question}{options}")
    _check_url(
        url, ("postgresql", "postgresql+psycopg"), "sqlite:///data/hub.db or postgresql://user:password@host/db"
    )
    try:
        import_module("psycopg")
    except ImportError:  # not installed, or installed without the library of PostgreSQL that it loads
        raise ValueError("needs the driver of PostgreSQL: run `pip install 'monitor-hub[postgres]'`") from None
    return secret


def _redis_url(secret: SecretStr) -> SecretStr:
    from hub.cache.redis import url_problem  # most configurations have no Redis, and its client is slow to load

    url = secret.get_secret_value()
    _check_url(url, ("redis", "rediss", "unix"), "redis://127.0.0.1:6379/0")
    if (problem := url_problem(url)) is not None:
        raise ValueError(problem)
    return secret


def _oracle_dsn(text: str) -> str:
    """Refuse a DSN with a password, because the hub shows DSNs; a descriptor has none and may contain an @."""
    if "@" in text and not text.lstrip().startswith("("):
        raise ValueError(
            "must have no user or password in it; write host:port/service, and keys of their own for them"
        )
    return text


def _oracle_user(text: str) -> str:
    if "/" in text or "@" in text:
        raise ValueError("must be the user alone; the password and the dsn have keys of their own")
    return text


def _check_url(url: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and (parts.port is None or parts.port > 0) and "://" in url
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"must be a URL such as {example}")


def _bearer(secret: SecretStr) -> SecretStr:
    """A token as `Authorization: Bearer` can carry it (RFC 6750). Raises ValueError."""
    token = secret.get_secret_value()
    if not _BEARER.fullmatch(token):
        blank = any(character.isspace() for character in token)
        what = "a blank or a line end" if blank else "a character"
        raise ValueError(f"holds {what} that no Bearer header can carry; use letters, digits and - . _ ~ + /")
    return secret


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def between(least: str, most: str) -> AfterValidator:
    """A validator for a duration between two others, written such as `100ms` or `1h`."""
    least_s, most_s = parse_duration(least), parse_duration(most)

    def check(seconds: float) -> float:
        if seconds < least_s:
            raise ValueError(f"must be {least} or more")
        if seconds > most_s:
            raise ValueError(f"must be {most} or less")
        return seconds

    return AfterValidator(check)


def matching(pattern: str, wording: str) -> AfterValidator:
    """A validator for a text that matches the whole pattern; its error is `wording`."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(wording)
        return text

    return AfterValidator(check)


def _not_taken(name: str) -> str:
    if name in METRICS or name in _COLUMNS:
        raise ValueError(f"must be another name: the hub has a {name} of its own")
    return name


Id = Annotated[
    str,
    matching(r"[A-Za-z0-9_.-]{1,64}", "must be 1 to 64 letters, digits or any of _ . -"),
    matching(r"(?!\.\.?$).*", "must not be . or .. alone: no address of the API could name it"),
]
Port = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
Count = Annotated[int, BeforeValidator(_no_bool)]
Timezone = Annotated[str, AfterValidator(known_timezone)]
Host = Annotated[str, AfterValidator(_host)]
OracleDsn = Annotated[str, AfterValidator(_oracle_dsn)]
OracleUser = Annotated[str, AfterValidator(_oracle_user)]
Retention = Annotated[Duration, between("1h", "100y")]
QuantityName = Annotated[
    str,
    matching(r"[a-z][a-z0-9_]{0,39}", "must be 1 to 40 small letters, digits or _, a letter first"),
    AfterValidator(_not_taken),
]
"""The name of something that an instrument measures: a metric of rules, a key of frames, a column of CSV."""
LabelName = Annotated[str, matching(r"[^\W\d][\w.-]{0,63}", "must be a letter or _, then letters, digits, _ . -")]
HubName = Annotated[str, matching(r"[^\x00-\x1f\x7f]{1,64}", "must be 1 to 64 characters on one line")]
UnitName = Annotated[str, matching(r"[^\x00-\x1f\x7f]{0,200}", "must be at most 200 characters on one line")]
LabelValue = Annotated[str, matching(r"[^\x00-\x1f\x7f]{0,256}", "must be at most 256 characters on one line")]
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes, written in YAML as `20GB`."""
Folder = Annotated[Path, AfterValidator(_from_folder)]
"""A path; a relative one resolves from the folder of config.yaml (`context={"folder": …}`)."""
Network = Annotated[str, AfterValidator(_network)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
Listen = Annotated[str, AfterValidator(_listen)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
BearerToken = Annotated[SecretStr, Field(min_length=16, max_length=_LONGEST_TOKEN), AfterValidator(_bearer)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
