"""An overload of connections is reported once with the address that opens most of them, and once when it ends."""

from hub.web.server.overload import Overload


def test_refused_connections_are_reported_once_with_their_address() -> None:
    overload = Overload()
    for _ in range(1150):
        overload.opened("10.0.0.7")
    overload.opened("10.0.0.8")
    for _ in range(724):
        overload.refused("10.0.0.7")
    assert overload.update(1.0)
    assert overload.reason == (
        "1,150 connections from 10.0.0.7 within 10 s, 724 of them refused or closed to make room"
    )
    overload.refused("10.0.0.8")
    assert not overload.update(2.0)


def test_an_overload_ends_a_minute_after_the_last_refusal() -> None:
    overload = Overload()
    overload.refused("10.0.0.7")
    assert overload.update(1.0)
    assert not overload.update(11.0)
    assert not any(overload.update(now_s) for now_s in range(12, 71))
    assert overload.update(71.0)
    assert overload.reason is None


def test_a_few_unused_connections_of_a_browser_are_no_overload() -> None:
    overload = Overload()
    for _ in range(49):
        overload.timed_out("10.0.0.7")
    assert not overload.update(1.0)
    overload.timed_out("10.0.0.7")
    assert overload.update(2.0)
    assert (
        overload.reason == "50 connections from 10.0.0.7 within 10 s, 50 of them closed as nothing came over them"
    )


def test_memory_is_bounded_for_any_number_of_addresses() -> None:
    overload = Overload()
    for n in range(100_000):
        overload.opened(str(n))
    assert len(overload._opened) <= 1025
