"""What is written on the wire, and what is never written."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.nl43 import commands as c


@pytest.mark.parametrize(
    ("command", "wire"),
    [
        (c.DOD, b"DOD?\r\n"),
        (c.DRD_STATUS, b"DRD?status\r\n"),
        (c.MEASURE_START, b"Measure,Start\r\n"),
        (c.set_clock(datetime(2025, 12, 24, 1, 13, 57)), b"Clock,2025/12/24 01:13:57\r\n"),  # noqa: DTZ001  zone unknown
        (c.set_sleep_mode(False), b"Sleep Mode,Off\r\n"),
        (c.set_frequency_weighting("C"), b"Frequency Weighting (Main),C\r\n"),
        (c.set_time_weighting("F"), b"Time Weighting (Main),F\r\n"),
        (c.percentile(5), b"Percentile 5?\r\n"),
        (c.set_percentile(1, 95), b"Percentile 1,95\r\n"),
        (c.set_store_name(19), b"Store Name,0019\r\n"),
        (c.set_store_mode("Auto"), b"Store Mode,Auto\r\n"),
        (c.MANUAL_STORE, b"Manual Store,Start\r\n"),
    ],
)
def test_a_command_is_one_line(command: c.Command, wire: bytes) -> None:
    assert command.encode() == wire


@pytest.mark.parametrize(
    ("name", "param"),
    [
        ("TCP", "Off"),
        ("tcp", " off"),
        ("Ethernet", "Off"),
        ("Ethernet IP", "10.0.0.9"),
        ("ETHERNET DHCP", "On"),
        ("Web", "On"),
        ("USB Class", "CDC"),
        ("USB Class", "CDC/MSC"),
    ],
)
def test_a_setting_that_would_cut_the_connection_is_refused_with_the_reason(name: str, param: str) -> None:
    with pytest.raises(ValueError, match="on the meter itself"):
        c.setting(name, param)


def test_harmless_forms_of_the_same_items_are_allowed() -> None:
    for command in (
        c.setting("TCP", "On"),
        c.setting("Web", "Off"),
        c.setting("USB Class", "Off"),
        c.request("Web"),
    ):
        assert command.encode().endswith(b"\r\n")


@pytest.mark.parametrize("param", ["Start\r\nMeasure,Stop", "Start\n", "\x1a", "$Start", "Sta\u00e9rt", "\x7f"])
def test_a_value_that_would_break_the_framing_is_refused(param: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        c.setting("Store Name", param)


@pytest.mark.parametrize("name", ["", "$Measure", "TCP,Off", "DOD?", "Store  Name", " DOD", "DOD\r\n", "Ms\u00e9"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no command name"):
        c.request(name)


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a value"):
        c.setting("Measure", " ")


@pytest.mark.parametrize(
    "build",
    [
        lambda: c.set_clock(datetime(2022, 1, 1)),  # noqa: DTZ001  zone unknown
        lambda: c.set_clock(datetime(2080, 1, 1)),  # noqa: DTZ001  zone unknown
        lambda: c.set_percentile(1, 0),
        lambda: c.percentile(6),
        lambda: c.set_store_name(10000),
        lambda: c.set_store_mode("Timer"),  # type: ignore[arg-type]
        lambda: c.set_frequency_weighting("B"),  # type: ignore[arg-type]
    ],
)
def test_values_the_meter_cannot_take_are_refused_here(build: object) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match="not"):
        build()


@given(name=st.text(max_size=12), param=st.none() | st.text(max_size=12), kind=st.sampled_from(c.Kind))
def test_whatever_is_accepted_is_exactly_one_plain_line(name: str, param: str | None, kind: c.Kind) -> None:
    try:
        wire = c.Command(name, param, kind).encode()
    except ValueError:
        return
    assert wire.endswith(b"\r\n")
    assert wire[:-2].decode("ascii").isprintable()
    assert b"$" not in wire
