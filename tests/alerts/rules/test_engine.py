"""The engine: reloads, reachability, restarts, acknowledgements, and the cost of idling."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.alert import State, TransitionType
from alerts.model.sample import Quality
from alerts.rules.pairs import Needs
from alerts.rules.system import system_rule
from alerts.store.stored import decode_alert, encode_alert
from tests.alerts.play import BEGIN_S, Play, at, make_rule

UNREACHABLE = system_rule("unit-unreachable", "warning", ("ops",))


def lose(play: Play, second: float, reason: str = "refused") -> list[str]:
    return play.sample(second, False, metric="reachable", reason=reason)


def find(play: Play, second: float) -> list[str]:
    return play.sample(second, True, metric="reachable")


def test_an_older_sample_is_counted_and_ignored() -> None:
    play = Play(make_rule(above=65))
    play.sample(10, 50.0)
    assert play.sample(9, 70.0) == []
    assert play.engine.older_samples == 1
    assert play.sample(10, 70.0) == ["onset"]


def test_a_tick_does_not_make_a_slow_sample_old() -> None:
    play = Play(make_rule(above=65))
    play.tick(10)
    assert play.sample(9, 70.0) == ["onset"]


def test_only_the_rules_of_the_metric_and_the_subject_are_asked() -> None:
    play = Play(make_rule(above=65), make_rule(name="other", metric="leq", above=65), subjects=["unit/a", "unit/b"])
    play.sample(0, 70.0)
    assert play.engine.evaluations == 1
    assert play.sample(1, 70.0, subject="unit/unknown") == []
    assert [alert.subject for alert in play.engine.open_alerts()] == ["unit/a"]
    assert play.engine.needs("unit/a", 1.0).metrics == {"lp", "leq"}
    assert play.engine.needs("unit/unknown", 1.0) == Needs(frozenset(), None)
    assert play.engine.has_subject("unit/a")
    assert not play.engine.has_subject("unit/unknown")


def test_a_transition_says_when_it_was_measured_and_when_decided() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    (transition,) = play.seen
    assert (transition.sample_time_s, transition.decided_s) == (BEGIN_S, BEGIN_S)
    assert transition.type is TransitionType.ONSET


def test_editing_what_decides_closes_with_rule_changed_and_begins_anew() -> None:
    play = Play(make_rule(above=65, cooldown="1h"))
    play.sample(0, 70.0)
    assert play.note(play.engine.set_rules([make_rule(above=66, cooldown="1h")], *at(1))) == ["clear"]
    assert play.last().reason == "rule-changed"
    assert play.engine.open_alerts() == []
    assert play.sample(2, 70.0) == ["onset"]


def test_removing_a_rule_closes_with_rule_removed() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    assert play.note(play.engine.set_rules([], *at(1))) == ["clear"]
    assert play.last().reason == "rule-removed"
    assert play.sample(2, 70.0) == []


def test_a_reload_of_the_same_rule_or_of_its_receivers_changes_nothing() -> None:
    play = Play(make_rule(above=65, cooldown="1h", **{"for": "5s"}))
    play.samples(range(4), 70.0)
    assert play.engine.set_rules([make_rule(above=65, cooldown="1h", notify=["b"], **{"for": "5s"})], *at(4)) == []
    assert play.samples(range(4, 10), 70.0) == [(5, "onset")]


def test_a_new_severity_moves_an_open_alert_and_a_higher_one_unacknowledges() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    play.engine.acknowledge(str(play.last().id), "ann", None, *at(1))
    assert play.note(play.engine.set_rules([make_rule(above=65, severity="info")], *at(2))) == ["level"]
    assert (play.last().severity, play.last().acknowledged_by) == ("info", "ann")
    assert play.note(play.engine.set_rules([make_rule(above=65, severity="critical")], *at(3))) == ["level"]
    assert (play.last().severity, play.last().acknowledged_by, play.last().sequence) == ("critical", None, 4)


def test_an_edge_between_the_last_tick_and_a_reload_is_not_missed() -> None:
    night = make_rule(above=65, schedule={"from": "21:00", "to": "22:01"})
    play = Play(night)
    play.sample(0, 70.0)
    play.tick(59)
    assert play.engine.set_rules([night, make_rule(name="new", above=90)], *at(61)) == []
    assert play.tick(61.5) == ["clear"]
    assert play.last().reason == "window-closed"


def test_an_unreachable_unit_is_one_alert_and_holds_its_others() -> None:
    play = Play(
        UNREACHABLE,
        make_rule(above=65, clear_for="1s", schedule={"from": "21:00", "to": "22:05"}),
        make_rule(name="silent", above=65, no_data={"after": "60s", "action": "alarm"}),
        make_rule(name="quick", metric="reachable", equals=False),
    )
    play.samples(range(3), 70.0)
    assert lose(play, 4) == ["onset", "onset"]
    assert {t.alert.reason for t in play.seen[-2:]} == {"refused"}
    assert play.ticks(range(5, 400)) == []
    assert play.sample(400, 10.0) == []
    assert find(play, 401) == ["clear", "clear"]
    assert play.ticks([402]) == [(402, "clear")]
    assert (play.last().rule, play.last().reason) == ("r", "window-closed")


def test_no_data_counts_anew_when_the_unit_is_back() -> None:
    play = Play(UNREACHABLE, make_rule(above=65, no_data={"after": "60s", "action": "alarm"}))
    play.sample(0, 50.0)
    lose(play, 1)
    play.ticks(range(2, 300))
    find(play, 300)
    assert play.ticks(range(300, 400)) == [(360, "no_data")]


def test_the_reason_of_a_lost_unit_stays_that_of_the_onset() -> None:
    play = Play(UNREACHABLE)
    lose(play, 0, "mute")
    assert lose(play, 10, "refused") == []
    assert play.engine.open_alerts()[0].reason == "mute"


def test_a_released_unit_holds_until_it_is_resumed() -> None:
    play = Play(make_rule(above=65, no_data={"after": "60s", "action": "alarm"}))
    play.engine.set_reachable("unit/a", False, BEGIN_S)
    assert play.ticks(range(200)) == []
    play.engine.set_reachable("unit/a", True, BEGIN_S + 200)
    assert play.ticks(range(200, 300)) == [(260, "no_data")]


def test_removing_the_unreachable_rule_lets_the_others_go_on() -> None:
    play = Play(UNREACHABLE, make_rule(above=65))
    lose(play, 0)
    play.engine.set_rules([make_rule(above=65)], *at(1))
    assert play.sample(2, 70.0) == ["onset"]


def test_a_restart_in_an_alarm_makes_no_second_alert() -> None:
    rule = make_rule(above=65, cooldown="1h")
    before = Play(rule)
    before.sample(0, 70.0)
    after = Play(rule)
    assert after.engine.restore([before.last()], *at(5)) == []
    assert after.sample(6, 70.0) == []
    assert after.sample(7, 60.0) == ["clear"]
    assert (after.last().id, after.last().sequence) == (before.last().id, 2)
    assert after.sample(8, 70.0) == []  # the cooldown came back too


def test_a_restart_goes_on_with_a_pending_timer() -> None:
    rule = make_rule(above=65, **{"for": "10s"})
    before = Play(rule)
    before.samples(range(6), 70.0)
    (pending,) = before.engine.pop_changed()
    after = Play(rule)
    after.engine.restore([pending], *at(7))
    assert after.samples(range(8, 15), 70.0) == [(10, "onset")]


@pytest.mark.parametrize("cadence_s", [1.0, 10.0, 20.0, 30.0])
@pytest.mark.parametrize("last_s", [43.0, 50.0])
def test_a_restart_goes_on_with_what_was_sampled_slowly(cadence_s: float, last_s: float) -> None:
    rule = make_rule(above=65, **{"for": "60s"})
    before, after = Play(rule), Play(rule)
    for second in (0.0, 10.0, 20.0, 30.0, 40.0, last_s):
        before.sample(second, 70.0, cadence_s=cadence_s)
    (pending,) = before.engine.pop_changed()
    stored = decode_alert(encode_alert(pending, 0.0), 0.0)
    after.engine.restore([stored], *at(56))
    assert after.ticks([56, 57, 58]) == []
    happened = [after.sample(second, 70.0, cadence_s=cadence_s) for second in (59.0, 60.0)]
    survives = last_s + max(3 * cadence_s, 10) >= 59
    assert happened == [[], ["onset"] if survives else []]


def test_a_pending_timer_stored_by_a_version_without_deadlines_goes_on() -> None:
    rule = make_rule(above=65, **{"for": "30s"})
    before, after = Play(rule), Play(rule)
    before.samples([0, 10, 20], 70.0)
    (pending,) = before.engine.pop_changed()
    after.engine.restore([replace(pending, unbroken_until_s=None)], *at(26))
    assert after.tick(27) == []
    assert after.sample(30, 70.0) == ["onset"]


@given(
    st.sampled_from(["alarm", "clear", "hold"]), st.integers(2, 90), st.floats(2.5, 3600), st.floats(0, 1.5),
    st.sampled_from([60.0, 70.0]),
)  # fmt: skip
def test_silence_counts_from_the_end_of_a_standstill(
    action: str, after_s: int, still_s: float, late_s: float, value: float
) -> None:
    """No no-data onset and no clear within `after` of the resume; they come right after, if silence goes on."""
    play = Play(make_rule(above=65, no_data={"after": f"{after_s}s", "action": action}))
    for second in range(5):
        play.sample(second, value)
        play.tick(second)
    known = len(play.seen)
    resumed = 4 + still_s
    play.engine.resume(at(resumed)[1])
    assert play.ticks([resumed + late_s + n for n in range(after_s + 1) if late_s + n < after_s]) == []
    assert len(play.seen) == known
    expected = {("alarm", 60.0): ["no_data"], ("clear", 70.0): ["clear"]}.get((action, value), [])
    assert play.tick(resumed + after_s + 2) == expected


@pytest.mark.parametrize(("every_s", "still_s", "onset_s"), [(60, 3, 600), (120, 10, 720)])
def test_a_hub_that_stands_still_again_and_again_still_hears_a_silence(
    every_s: int, still_s: int, onset_s: int
) -> None:
    play = Play(make_rule(above=65, no_data={"after": "5m", "action": "alarm"}))
    found = []
    for second in range(onset_s):
        if second % every_s >= still_s or second < still_s:
            if second % every_s == still_s:
                play.engine.resume(at(second)[1])
            found += play.tick(second)
    assert found == ["no_data"]


@pytest.mark.parametrize(("still_s", "onset_s"), [(8, 30), (45, 86)])
def test_what_the_hub_did_not_hear_while_it_stood_still_is_missing(still_s: int, onset_s: int) -> None:
    play = Play(make_rule(above=65, **{"for": "30s"}))
    play.samples(range(11), 70.0)
    resumed = 10 + still_s
    play.engine.resume(at(resumed)[1])
    assert play.tick(resumed) == []
    assert play.samples(range(resumed + 1, 120), 70.0) == [(onset_s, "onset")]


def test_a_restart_with_a_unit_lost_still_holds_its_others() -> None:
    before = Play(UNREACHABLE, make_rule(above=65))
    before.sample(0, 70.0)
    lose(before, 1)
    after = Play(UNREACHABLE, make_rule(above=65))
    after.engine.restore(before.engine.open_alerts(), *at(5))
    assert after.sample(6, 10.0) == []
    assert find(after, 7) == ["clear"]
    assert after.sample(8, 10.0) == ["clear"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rule": "gone"}, "rule-removed"),
        ({"rule_hash": "other"}, "rule-changed"),
        ({"subject": "unit/gone"}, "subject-removed"),
        ({"subject": "unit/b"}, "no-longer-matches"),
    ],
)
def test_a_restart_closes_what_nothing_decides_any_more(changes: dict[str, str], reason: str) -> None:
    rule = make_rule(above=65, units=["a"])
    before = Play(rule)
    before.sample(0, 70.0)
    after = Play(rule, subjects=["unit/a", "unit/b"])
    assert after.note(after.engine.restore([replace(before.last(), **changes)], *at(5))) == ["clear"]  # type: ignore[arg-type]
    assert after.last().reason == reason
    assert after.engine.open_alerts() == []


def test_the_alert_of_a_machine_waits_for_its_feed() -> None:
    rule = make_rule(metric="status_category", equals="DOWN")
    before = Play(rule, subjects=["equipment/fab/M1"])
    before.sample(0, "DOWN", subject="equipment/fab/M1", metric="status_category")
    alert_id = str(before.last().id)
    after = Play(rule, subjects=[])
    assert after.engine.restore([before.last()], *at(5)) == []
    assert after.engine.alert(alert_id) is not None
    after.note([after.engine.acknowledge(alert_id, "ann", None, *at(6))])
    after.engine.add_subject("equipment/fab/M1", {}, *at(7))
    assert after.sample(8, "DOWN", subject="equipment/fab/M1", metric="status_category") == []
    assert after.sample(9, "PRODUCTIVE", subject="equipment/fab/M1", metric="status_category") == ["clear"]
    assert after.last().acknowledged_by == "ann"


def test_a_waiting_alert_closes_with_its_rule_or_its_machine() -> None:
    rule = make_rule(metric="status_category", equals="DOWN")
    before = Play(rule, subjects=["equipment/fab/M1"])
    before.sample(0, "DOWN", subject="equipment/fab/M1", metric="status_category")
    after = Play(rule, subjects=[])
    after.engine.restore([before.last()], *at(5))
    assert after.note(after.engine.set_rules([], *at(6))) == ["clear"]
    again = Play(rule, subjects=[])
    again.engine.restore([before.last()], *at(5))
    assert again.note(again.engine.remove_subject("equipment/fab/M1", *at(6))) == ["clear"]
    assert (after.last().reason, again.last().reason) == ("rule-removed", "subject-removed")


def test_a_machine_that_leaves_the_match_closes_its_alert_and_keeps_its_cooldown() -> None:
    rule = make_rule(metric="lot_count", above=3, equipment={"category": ["DOWN"]}, cooldown="60s")
    play = Play(rule, subjects=[])
    machine = "equipment/fab/M1"
    play.engine.add_subject(machine, {}, *at(0), attributes={"status_category": "DOWN"})
    assert play.sample(0, 5.0, subject=machine, metric="lot_count") == ["onset"]
    assert play.note(play.engine.add_subject(machine, {}, *at(1), {"status_category": "PRODUCTIVE"})) == ["clear"]
    assert play.last().reason == "no-longer-matches"
    assert play.sample(2, 5.0, subject=machine, metric="lot_count") == []
    assert play.engine.add_subject(machine, {}, *at(3), {"status_category": "DOWN"}) == []
    assert play.sample(4, 5.0, subject=machine, metric="lot_count") == []
    assert play.sample(61, 5.0, subject=machine, metric="lot_count") == ["onset"]


def test_a_removed_subject_closes_its_alerts() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    assert play.note(play.engine.remove_subject("unit/a", *at(1))) == ["clear"]
    assert play.last().reason == "subject-removed"
    assert play.sample(2, 70.0) == []
    assert play.engine.remove_subject("unit/a", *at(3)) == []


def test_an_acknowledgement_survives_what_goes_on_and_can_be_taken_back() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    alert_id = str(play.last().id)
    assert play.note([play.engine.acknowledge(alert_id, "ann", "on it", *at(1))]) == ["ack"]
    play.sample(2, 75.0)
    alert = play.engine.alert(alert_id)
    assert alert is not None
    assert (alert.acknowledged_by, alert.acknowledged_at, alert.comment) == ("ann", at(1)[0], "on it")
    assert play.note([play.engine.unacknowledge(alert_id, *at(3))]) == ["unack"]
    assert (play.last().acknowledged_by, play.last().acknowledged_at, play.last().sequence) == (None, None, 3)


def test_only_an_open_alert_can_be_acknowledged() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    play.sample(1, 60.0)
    with pytest.raises(KeyError):
        play.engine.acknowledge(str(play.last().id), "ann", None, *at(2))


def test_timers_and_peaks_are_dirty_once_and_plain_values_are_not() -> None:
    play = Play(make_rule(above=65, **{"for": "2s"}))
    play.sample(0, 50.0)
    assert play.engine.pop_changed() == []
    play.sample(1, 70.0)
    assert [alert.state for alert in play.engine.pop_changed()] == [State.PENDING]
    assert play.engine.pop_changed() == []
    play.samples([2, 3], 70.0)
    assert play.engine.pop_changed() == []  # the onset stores it
    play.sample(4, 69.0)
    assert play.engine.pop_changed() == []
    play.sample(5, 71.0)
    assert [alert.peak for alert in play.engine.pop_changed()] == [71.0]


def test_the_status_of_a_rule_names_its_most_urgent_state_and_newest_value() -> None:
    play = Play(make_rule(above=65), make_rule(name="idle", metric="leq", above=65), subjects=["unit/a", "unit/b"])
    play.sample(0, 70.0)
    play.sample(3, 50.0, subject="unit/b")
    busy, idle = play.engine.rule_status()
    assert (busy.rule.name, busy.state, busy.subjects, busy.open) == ("r", State.FIRING, 2, 1)
    assert (busy.last_evaluated_at, busy.last_value) == (at(3)[0], 50.0)
    assert (idle.state, idle.last_evaluated_at, idle.last_value) == (State.INACTIVE, None, None)


def test_the_sampling_of_a_subject_is_the_fastest_any_rule_asks_for() -> None:
    play = Play(
        make_rule(above=65, every="20s"),
        make_rule(name="b", above=65, every="5s"),
        UNREACHABLE,
        subjects=["unit/a"],
    )
    assert play.engine.needs("unit/a", watched_s=1.0).every_s == 5.0
    assert play.engine.needs("unit/b", watched_s=1.0).every_s is None


def test_a_subject_is_sampled_as_it_comes_where_no_rule_asks_for_more_and_not_at_all_for_the_hubs_own() -> None:
    play = Play(UNREACHABLE)
    assert play.engine.needs("unit/a", watched_s=1.0) == Needs(frozenset({"reachable"}), None)
    play = Play(UNREACHABLE, make_rule(metric="reachable", equals=False))
    assert play.engine.needs("unit/a", watched_s=1.0).every_s == float("inf")


def test_labels_are_those_last_given() -> None:
    play = Play(make_rule(above=65, match={"site": "dockside"}), subjects=[])
    play.engine.add_subject("unit/a", {"site": "dockside"}, *at(0))
    play.sample(0, 70.0)
    assert play.note(play.engine.add_subject("unit/a", {"site": "yard"}, *at(1))) == ["clear"]
    assert play.engine.labels_of("unit/a") == {"site": "yard"}
    assert play.engine.labels_of("unit/b") == {}


def test_a_system_alert_fires_and_clears_at_once() -> None:
    play = Play(system_rule("child-failed", "critical", ()), subjects=["hub/child/recorder"])
    for second in (0, 2):
        assert play.sample(second, False, subject="hub/child/recorder", metric="ok", reason="crashed") == ["onset"]
        assert (play.last().severity, play.last().reason) == ("critical", "crashed")
        assert play.sample(second + 1, True, subject="hub/child/recorder", metric="ok") == ["clear"]


def test_a_tick_asks_a_few_of_the_idle_pairs_and_not_all_of_them() -> None:
    rules = [make_rule(name=f"r{n}", above=65 + n, no_data={"after": "60s", "action": "alarm"}) for n in range(10)]
    play = Play(*rules, subjects=[f"unit/{unit}" for unit in range(20)])
    most = 0
    for second in range(1, 200):
        for unit in range(20):
            play.sample(second, 50.0, subject=f"unit/{unit}")
        before = play.engine.ticked
        assert play.tick(second) == []
        most = max(most, play.engine.ticked - before)
    assert 0 < most < 40  # of 200


def test_a_stored_alert_that_rests_brings_only_its_cooldown() -> None:
    rule = make_rule(above=65, cooldown="60s")
    first = Play(rule)
    first.sample(0, 70.0)
    first.sample(1, 60.0)
    after = Play(rule)
    assert after.engine.restore([first.last()], *at(5)) == []
    assert after.engine.open_alerts() == []
    assert after.sample(6, 70.0) == []
    after.samples(range(7, 60), 70.0)
    assert after.tick(60) == ["onset"]


def test_an_acknowledgement_is_not_overwritten_by_what_waited_to_be_stored() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    play.sample(0.3, 71.0)
    taken = play.engine.acknowledge(play.last().id or "", "kim", None, *at(0.5)).alert
    assert play.engine.pop_changed() == []
    play.sample(1, 72.0)
    (stored,) = play.engine.pop_changed()
    assert (stored.acknowledged_by, stored.sequence) == ("kim", taken.sequence)


def test_a_wall_clock_set_back_over_a_restart_neither_holds_an_onset_back_nor_a_timer() -> None:
    rule = make_rule(above=65, cooldown="5m", **{"for": "3s"})
    before = Play(rule)
    before.samples(range(3600, 3604), 70.0)
    cooling = before.note(before.engine.set_rules([], *at(3604))) and before.last()
    assert cooling
    after = Play(rule)
    after.engine.restore([cooling], *at(0))
    assert after.ticks(range(301)) == []
    assert after.samples(range(301, 310), 70.0) == [(304, "onset")]

    pending = Play(rule)
    pending.samples(range(3600, 3602), 70.0)
    after = Play(rule)
    after.engine.restore(pending.engine.pop_changed(), *at(0))
    assert after.samples(range(1, 10), 70.0) == [(3, "onset")]


def test_a_severity_changed_over_a_restart_moves_the_open_alert() -> None:
    before = Play(make_rule(above=65))
    before.sample(0, 70.0)
    after = Play(make_rule(above=65, severity="critical"))
    assert after.note(after.engine.restore([before.last()], *at(1))) == ["level"]
    assert (after.last().id, after.last().severity) == (before.last().id, "critical")
    assert after.engine.open_alerts() == [after.last()]


def test_a_stopped_run_does_not_clear_what_fired_for_want_of_data() -> None:
    rule = make_rule(metric="leq", above=65, cooldown="0s", no_data={"after": "60s", "action": "alarm"})
    play = Play(rule)
    play.sample(0, 60.0, metric="leq")
    for second in range(1, 200):
        play.sample(second, 60.0, Quality.RUN_ENDED, metric="leq")
        play.tick(second)
    assert [t.type.removeprefix("alert.") for t in play.seen] == ["no_data"]
    assert play.sample(200, 60.0, metric="leq") == ["clear"]
    assert play.last().reason == "data-returned"


def test_a_stopped_run_breaks_an_onset_that_was_pending_while_data_was_missing() -> None:
    rule = make_rule(above=65, no_data={"after": "4s", "action": "alarm"}, **{"for": "30s"})
    play = Play(rule)
    assert play.tick(5) == ["no_data"]
    play.samples(range(10, 30), 70.0)
    assert play.sample(30, 70.0, Quality.RUN_ENDED) == []
    assert play.samples(range(31, 70), 70.0) == [(61, "onset")]
