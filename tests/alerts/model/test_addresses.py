import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.addresses import is_loopback, is_public


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2606:4700::1111",
        "2a00:1450:4001:80b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2606:4700::5efe:808:808",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "127.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fec0::1",
        "feff::1",
        "fc00::1",
        "fd00::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "5f00::1",
        "4000::1",
    ],
)
def test_an_address_that_no_public_network_carries_is_not_public(address: str) -> None:
    assert not is_public(address)


_PRIVATE = st.sampled_from(["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.5.4", "0.0.0.0"])


def _hex(address: str) -> str:
    first, second, third, fourth = (int(part) for part in address.split("."))
    return f"{first << 8 | second:x}:{third << 8 | fourth:x}"


def _inverted(address: str) -> str:
    return ".".join(str(255 - int(part)) for part in address.split("."))


@given(inner=_PRIVATE)
def test_a_private_ipv4_address_inside_an_ipv6_address_is_not_public(inner: str) -> None:
    for address in (
        f"::ffff:{inner}",
        f"64:ff9b::{inner}",
        f"64:ff9b:1::{inner}",
        f"64:ff9b:1:{_hex(inner)}::",
        f"::{inner}",
        f"::ffff:0:{inner}",
        f"2002:{_hex(inner)}::1",
        f"2001:0:{_hex(inner)}::{_hex(_inverted('8.8.8.8'))}",  # Teredo: the server
        f"2001:0:{_hex('8.8.8.8')}::{_hex(_inverted(inner))}",  # Teredo: the client
        f"2606:4700::5efe:{_hex(inner)}",
        f"2606:4700::200:5efe:{_hex(inner)}",
    ):
        assert not is_public(address), address


@pytest.mark.parametrize("address", ["::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b:1::8.8.8.8"])
def test_a_form_without_a_public_route_is_not_public_whatever_it_holds(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "0:0:0:0:0:0:0:1"])
def test_what_only_this_machine_can_be_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["::ffff:127.0.0.1", "::127.0.0.1", "::1%eth0", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "hub", ""],
)
def test_what_may_lead_elsewhere_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
