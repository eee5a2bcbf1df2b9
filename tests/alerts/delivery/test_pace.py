from alerts.delivery.pace import Pace


def test_missed_messages_keep_a_distance_and_new_ones_do_not() -> None:
    pace = Pace(20, 1.0)
    pace.sent("a", True, 100.0)
    assert pace.missed_at_s() == 100.05
    assert pace.opens_at_s() == 0.0


def test_after_a_pause_one_message_is_out_until_it_is_answered() -> None:
    pace = Pace(20, 1.0)
    assert pace.pause(120.0) == 120.0
    assert pace.pause(110.0) == 120.0
    assert pace.is_paused
    assert pace.opens_at_s() == 120.0
    pace.sent("probe", True, 120.0)
    assert pace.opens_at_s() is None
    assert pace.missed_at_s() is None
    pace.answered("another")
    assert pace.opens_at_s() is None
    pace.answered("probe")
    assert not pace.is_paused
    assert pace.opens_at_s() == 0.0


def test_only_the_answer_to_a_probe_counts_as_one_more_wait() -> None:
    pace = Pace(20, 1.0)
    assert pace.counts("a")
    pace.pause(10.0)
    assert not pace.counts("b")
    pace.sent("probe", True, 10.0)
    assert pace.counts("probe")
    assert not pace.counts("b")


def test_a_probe_that_no_answer_will_come_to_is_followed_by_another() -> None:
    pace = Pace(20, 1.0)
    pace.pause(10.0)
    pace.sent("probe", True, 10.0)
    pace.recover()
    assert pace.opens_at_s() == 10.0
