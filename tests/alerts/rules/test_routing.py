from alerts.config.rule import AlertsConfig, System
from alerts.rules.routing import Routing
from tests.alerts.fakes import onset

CONFIG = AlertsConfig.model_validate(
    {
        "rules": [{"name": "night-limit", "metric": "laeq_15m", "above": 65, "notify": ["ops"]}],
        "receivers": [{"name": name, "url": "http://x/"} for name in ("ops", "site", "boss")],
    }
)


def test_a_rule_notifies_its_own_receivers() -> None:
    assert Routing(CONFIG).receivers_of(onset(), ()) == ("ops",)


def test_the_receivers_notified_of_the_onset_are_notified_of_the_rest() -> None:
    assert Routing(CONFIG).receivers_of(onset(), {"site", "gone"}) == ("site",)


def test_the_hubs_own_alerts_go_to_everybody_but_whom_they_are_about() -> None:
    failing = onset("receiver-failing", "hub/receiver/site", metric="ok")
    assert Routing(CONFIG).receivers_of(failing, ()) == ("ops", "boss")


def test_the_hubs_own_alerts_can_be_given_to_some() -> None:
    config = CONFIG.model_copy(update={"system": System(notify=("boss",))})
    assert Routing(config).receivers_of(onset("disk-full", "hub/disk", metric="ok"), ()) == ("boss",)


def test_the_end_of_an_alert_without_receivers_whose_rule_is_gone_has_none_either() -> None:
    assert Routing(CONFIG).receivers_of(onset("gone"), ()) == ()
