"""Which IP addresses belong to the public internet, and which to this machine: pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # the only block of IPv6 that is given out
_DOCUMENTATION = IPv6Network("3fff::/20")  # newer than the tables of some Python 3.11
_NAT64 = IPv6Network("64:ff9b::/96")
_LOOPBACK_V6 = IPv6Address("::1")
_ISATAP = (0x00005EFE, 0x02005EFE)  # bits 64 to 95 of an address that ends in an IPv4 address


def is_public(address: str) -> bool:
    """False for loopback, private, link-local, multicast and reserved addresses.

    An IPv6 address that a gateway or a tunnel turns into IPv4 (mapped, NAT64, 6to4, Teredo, ISATAP) is as public as
    the IPv4 address in it. The forms that no public network routes are never public: site-local, IPv4-compatible,
    IPv4-translated, and NAT64 with a local prefix. Raises ValueError for what is no IP address.
    """
    parsed = ip_address(address.partition("%")[0])
    return _is_public_v4(parsed) if isinstance(parsed, IPv4Address) else _is_public_v6(parsed)


def is_loopback(host: str) -> bool:
    """True for `localhost` in any case, 127.0.0.0/8 and ::1: a host or an address that only this machine can be.

    An IPv4 address inside an IPv6 address is not, whatever this version of Python says of it.
    """
    if host.lower() == "localhost":
        return True
    try:
        parsed = ip_address(host)
    except ValueError:
        return False
    return parsed.is_loopback if isinstance(parsed, IPv4Address) else parsed == _LOOPBACK_V6


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast


def _is_public_v6(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public_v4(_last_32_bits(address))
    if address not in _GLOBAL_UNICAST or address in _DOCUMENTATION:
        return False
    if address.sixtofour is not None:
        return _is_public_v4(address.sixtofour)
    if address.teredo is not None:
        return all(_is_public_v4(inner) for inner in address.teredo)
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP and not _is_public_v4(_last_32_bits(address)):
        return False
    return address.is_global and not address.is_multicast


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
