"""Options of a fleet of simulated instruments: how many, on which ports, and which of them have a fault."""

from enum import StrEnum
from typing import TypeVar

F = TypeVar("F", bound=StrEnum)


def check_ports(units: int, base_port: int) -> None:
    """Check that there are ports for so many units. Raises ValueError, which says what to change."""
    if units < 1:
        raise ValueError(f"simulate at least one unit, not {units}")
    if not 0 < base_port <= base_port + units - 1 <= 65535:
        raise ValueError(f"{units} units from port {base_port} do not fit below port 65536")


def parse_faults(text: str, faults: type[F]) -> dict[F, float]:
    """`mute=10%,refuse=5%` -> shares 0..1. Raises ValueError that names what is wrong."""
    shares: dict[F, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, share = part.partition("=")
        try:
            fault = faults(name.strip())
        except ValueError:
            raise ValueError(f"{name.strip()!r} is not a fault; choose from {', '.join(faults)}") from None
        try:
            percent = float(share.strip().removesuffix("%"))
        except ValueError:
            raise ValueError(f"{part!r} needs a share in percent, as in '{fault}=10%'") from None
        shares[fault] = percent / 100
    if any(share < 0 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"the shares of {text!r} must be positive and not exceed 100% together")
    return shares


def spread_faults(shares: dict[F, float], units: int, none: F) -> list[F]:
    """A fault for each unit, chosen by its number: the same units fail every time, spread over the fleet."""
    spread = [none] * units
    order = sorted(range(units), key=lambda unit: unit * 0.6180339887498949 % 1.0)
    start = 0
    for fault, share in shares.items():
        count = round(share * units)
        for unit in order[start : start + count]:
            spread[unit] = fault
        start += count
    return spread
