"""When connections are too many, it is said once, with who opens them, and once when it is over."""

from hub.web.server.overload import Overload


def test_turning_clients_away_is_told_once_with_their_address() -> None:
    overload = Overload()
    for _ in range(1150):
        overload.opened("10.0.0.7")
    overload.opened("10.0.0.8")
    for _ in range(724):
        overload.turned_away("10.0.0.7")
    assert overload.look(1.0)
    assert overload.reason == (
        "1,150 connections from 10.0.0.7 within 10 s, 724 of them refused or closed to make room"
    )
    overload.turned_away("10.0.0.8")
    assert not overload.look(2.0)


def test_it_is_over_a_minute_after_the_last_one() -> None:
    overload = Overload()
    overload.turned_away("10.0.0.7")
    assert overload.look(1.0)
    assert not overload.look(11.0)
    assert not any(overload.look(now_s) for now_s in range(12, 71))
    assert overload.look(71.0)
    assert overload.reason is None


def test_a_few_that_a_browser_left_unused_are_no_overload() -> None:
    overload = Overload()
    for _ in range(49):
        overload.timed_out("10.0.0.7")
    assert not overload.look(1.0)
    overload.timed_out("10.0.0.7")
    assert overload.look(2.0)
    assert (
        overload.reason == "50 connections from 10.0.0.7 within 10 s, 50 of them closed as nothing came over them"
    )


def test_however_many_addresses_there_are_memory_is_bounded() -> None:
    overload = Overload()
    for n in range(100_000):
        overload.opened(str(n))
    assert len(overload._opened) <= 1025
