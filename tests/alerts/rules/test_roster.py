"""Pairs start and end as rules and subjects are added and removed."""

from alerts.rules.compiled import CompiledRule, compile_rule
from alerts.rules.roster import Roster
from tests.alerts.play import make_rule


def compiled(**fields: object) -> dict[str, CompiledRule]:
    rule = compile_rule(make_rule(**fields), "UTC")
    return {rule.rule.name: rule}


def test_a_subject_gets_a_pair_for_each_rule_about_it_whichever_comes_first() -> None:
    for rules_first in (True, False):
        roster = Roster()
        if rules_first:
            roster.set_rules(compiled(above=65), 0.0)
        roster.put_subject("unit/a", {}, {}, 0.0)
        if not rules_first:
            roster.set_rules(compiled(above=65), 0.0)
        assert [pair.key for pair in roster.pairs()] == [("r", "unit/a")]
        assert roster.series["unit/a", "lp"].pairs == list(roster.pairs())


def test_the_last_pair_takes_its_series_with_it() -> None:
    roster = Roster()
    roster.set_rules(compiled(above=65), 0.0)
    roster.put_subject("unit/a", {}, {}, 0.0)
    change = roster.remove_subject("unit/a")
    assert [(pair.key, reason) for pair, reason in change.ended] == [(("r", "unit/a"), "subject-removed")]
    assert roster.series == {}
    assert list(roster.pairs()) == []


def test_a_rule_that_decides_as_before_keeps_its_pair_and_a_changed_one_gets_a_new_one() -> None:
    roster = Roster()
    roster.set_rules(compiled(above=65), 0.0)
    roster.put_subject("unit/a", {}, {}, 0.0)
    pair = roster.pair("r", "unit/a")
    same = roster.set_rules(compiled(above=65, severity="critical"), 1.0)
    assert (same.stayed, same.ended, same.started) == ([pair], [], [])
    other = roster.set_rules(compiled(above=70), 2.0)
    assert [(ended, reason) for ended, reason in other.ended] == [(pair, "rule-changed")]
    assert [started.key for started in other.started] == [("r", "unit/a")]
    assert roster.pair("r", "unit/a") is not pair


def test_new_labels_can_end_a_match() -> None:
    roster = Roster()
    roster.set_rules(compiled(above=65, match={"site": "dockside"}), 0.0)
    roster.put_subject("unit/a", {"site": "dockside"}, {}, 0.0)
    assert [reason for _, reason in roster.put_subject("unit/a", {"site": "yard"}, {}, 1.0).ended] == [
        "no-longer-matches"
    ]
    assert roster.pair("r", "unit/a") is None
    assert roster.pair("r", "unit/b") is None


def test_a_rule_is_about_no_subject_that_has_not_its_metric() -> None:
    roster = Roster()
    roster.put_subject("unit/weather", {}, {}, 0.0, {"temperature", "reachable"})
    roster.put_subject("unit/gate", {}, {}, 0.0, {"lp", "reachable"})
    roster.set_rules(compiled(name="hot", metric="temperature", above=40) | compiled(name="loud", above=65), 0.0)
    assert {pair.key for pair in roster.pairs()} == {("hot", "unit/weather"), ("loud", "unit/gate")}
    change = roster.put_subject("unit/weather", {}, {}, 1.0, {"wind", "reachable"})
    assert [(pair.key, reason) for pair, reason in change.ended] == [(("hot", "unit/weather"), "no-longer-matches")]


def test_rules_on_named_units_find_them_whichever_comes_first() -> None:
    roster = Roster()
    roster.put_subject("unit/a", {"site": "dockside"}, {}, 0.0)
    rules = compiled(name="one", above=65, units=["a", "b"]) | compiled(name="other", above=65, units=["c"])
    roster.set_rules(rules | compiled(name="most", above=65, units=["[ab]"]), 0.0)
    roster.put_subject("unit/b", {}, {}, 0.0)
    assert {pair.key for pair in roster.pairs()} == {
        ("one", "unit/a"),
        ("most", "unit/a"),
        ("one", "unit/b"),
        ("most", "unit/b"),
    }
    change = roster.set_rules(compiled(name="one", above=65, units=["b"]), 1.0)
    assert {(pair.key, reason) for pair, reason in change.ended} >= {(("one", "unit/a"), "rule-changed")}
    assert [pair.key for pair in roster.pairs()] == [("one", "unit/b")]
