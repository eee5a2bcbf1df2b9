"""Shares of faults in a fleet."""

from collections import Counter

import pytest

from hub.simulators.fleet import check_ports, parse_faults, spread_faults
from hub.simulators.nl43.faults import Fault


def test_shares_are_read_in_percent() -> None:
    assert parse_faults("mute=10%, refuse=2.5", Fault) == {Fault.MUTE: 0.1, Fault.REFUSE: 0.025}
    assert parse_faults("", Fault) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [("mut=1%", "is not a fault"), ("mute", "needs a share"), ("mute=60%,refuse=60%", "exceed")],
)
def test_what_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_faults(text, Fault)


def test_the_same_units_fail_every_time_and_not_side_by_side() -> None:
    shares = parse_faults("mute=10%,refuse=5%", Fault)
    spread = spread_faults(shares, 1000, Fault.NONE)
    assert spread == spread_faults(shares, 1000, Fault.NONE)
    assert Counter(spread) == {Fault.NONE: 850, Fault.MUTE: 100, Fault.REFUSE: 50}
    for start in range(0, 1000, 100):
        assert 7 <= spread[start : start + 100].count(Fault.MUTE) <= 13


@pytest.mark.parametrize(("units", "base_port"), [(0, 2255), (2, 65535), (1, 0)])
def test_ports_that_are_none_are_refused(units: int, base_port: int) -> None:
    with pytest.raises(ValueError, match="unit"):
        check_ports(units, base_port)
