"""Bounds of single values, and the properties of the models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.model.duration import format_duration, parse_duration
from hub.config.models import Config, HubSection, OracleEquipmentFeed
from hub.fields.scalars import parse_listen, parse_size
from hub.nl43.config import NL43Config


def unit(**changes: object) -> NL43Config:
    return NL43Config.model_validate({"id": "a", "host": "10.0.0.1"} | changes)


@pytest.mark.parametrize(
    "bad",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "x" * 65},
        {"host": "10.0.0.1:2255"},
        {"host": "a b"},
        {"host": "10.0.0"},
        {"host": ""},
        {"port": 0},
        {"port": 65536},
        {"port": True},
        {"offline_after": 0},
        {"poll": {"watched": "99ms"}},
        {"poll": {"gap": "-1s"}},
        {"poll": {"watched": 1}},
        {"timeouts": {"reply": "0s"}},
        {"labels": {"a b": "c"}},
        {"labels": {"a": "line\nbreak"}},
        {"labels": {f"l{n}": "" for n in range(33)}},
        {"unknown": 1},
    ],
)
def test_a_unit_out_of_bounds_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        unit(**bad)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "::1", "fe80::1%eth0", "meter-1", "meter_1.site.example.", "localhost"]
)
def test_hosts_are_names_and_addresses(host: str) -> None:
    assert unit(host=host).host == host


@pytest.mark.parametrize("name", [".", ".."])
def test_an_id_can_be_named_in_an_address(name: str) -> None:
    for kind, made in (("units", {"host": "h"}), ("feeds", {"kind": "sample-equipment"})):
        with pytest.raises(ValidationError, match=r"must not be \. or \.\. alone"):
            Config.model_validate({kind: [{"id": name, **made}]})
    assert unit(id=f"{name}a").id == f"{name}a"


def test_a_unit_has_the_defaults_of_a_real_meter() -> None:
    made = unit(poll={"gap": 0})
    assert (made.port, made.poll.watched, made.poll.idle, made.poll.background, made.poll.gap) == (
        2255,
        1,
        10,
        60,
        0,
    )
    assert (made.timeouts.connect, made.timeouts.reply, made.offline_after, made.monitor) == (5, 3, 3, True)


@pytest.mark.parametrize(
    ("listen", "host", "port", "loopback"),
    [
        ("127.0.0.1:8480", "127.0.0.1", 8480, True),
        ("127.9.9.9:0", "127.9.9.9", 0, True),
        ("[::1]:80", "::1", 80, True),
        ("localhost:80", "localhost", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("hub.example:80", "hub.example", 80, False),
    ],
)
def test_listen_is_parsed_into_host_and_port(listen: str, host: str, port: int, loopback: bool) -> None:
    hub = HubSection(listen=listen)
    assert (hub.host, hub.port, hub.is_loopback) == (host, port, loopback)


@pytest.mark.parametrize(
    "listen", ["", "8480", ":8480", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "::1:80", "a:²"]
)
def test_a_bad_listen_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match=r"must be|must have"):
        parse_listen(listen)


def test_a_bad_time_zone_gets_a_suggestion() -> None:
    with pytest.raises(ValidationError, match="did you mean 'Europe/London'"):
        HubSection(timezone="europe/london")


@pytest.mark.parametrize(
    "url",
    ["", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://h/d", "postgresql:h", "postgresql://h:x/d"],
)
def test_a_bad_database_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"database": {"url": url}})


@pytest.mark.parametrize("view", ["A.B; DROP TABLE X", "", "A..B", 'A."B"'])
def test_a_view_is_a_plain_name(view: str) -> None:
    with pytest.raises(ValidationError):
        OracleEquipmentFeed(kind="oracle-equipment", id="f", dsn="d", user="u", password="p", view=view)


def test_sizes_are_decimal() -> None:
    assert parse_size("20GB") == 20 * 10**9
    assert parse_size("1.5 MB") == 1_500_000
    for bad in ("20", 20, "GB", "20 GiB", None):
        with pytest.raises(ValueError, match="not a size"):
            parse_size(bad)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_says_the_same_when_written_again(number: int, unit: str) -> None:
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.0006)


@pytest.mark.parametrize("proxy", ["10.0.0.5", "10.0.0.0/24", "10.0.0.5/24", "::1", "fd00::/8"])
def test_a_trusted_proxy_is_an_address_or_a_network(proxy: str) -> None:
    assert Config.model_validate({"hub": {"trusted_proxies": [proxy]}}).hub.trusted_proxies == (proxy,)


@pytest.mark.parametrize("proxy", ["nginx", "10.0.0.5:80", "10.0.0.0/33", "", "*"])
def test_a_name_is_no_trusted_proxy(proxy: str) -> None:
    with pytest.raises(ValidationError, match=r"such as 10\.0\.0\.5"):
        Config.model_validate({"hub": {"trusted_proxies": [proxy]}})


@pytest.mark.parametrize(
    "url",
    ["hub.example.org", "ftp://hub", "https://", "https://me:secret@hub", "https://hub/?a=b", "https://hub:0"],
)
def test_a_public_url_is_where_browsers_can_go(url: str) -> None:
    with pytest.raises(ValidationError, match="where people reach the hub"):
        Config.model_validate({"hub": {"public_url": url}})
