"""The notice of a transition: its receivers and its words."""

from alerts.commits.notices import Notices
from alerts.config.caption import UNNAMED, Caption
from alerts.config.rule import AlertsConfig
from alerts.model.alert import Alert, TransitionType
from tests.alerts.fakes import cleared, onset, transition

ONSET = onset()


def config(*notify: str) -> AlertsConfig:
    rule = {"name": "night-limit", "metric": "laeq_15m", "above": 65, "notify": notify}
    receivers = [{"name": name, "url": "http://x/"} for name in ("ops", "site")]
    return AlertsConfig.model_validate({"rules": [rule], "receivers": receivers})


def notices(*notify: str, caption: Caption = UNNAMED) -> Notices:
    made = Notices(lambda subject: {"site": "dock"}, lambda subject: caption)
    made.configure(config(*notify))
    return made


def receivers(made: Notices, kind: TransitionType, alert: Alert) -> tuple[str, ...]:
    return made.of(transition(kind, alert)).receivers


def test_a_notice_has_the_names_that_people_use() -> None:
    caption = Caption("Gate A", {"laeq_15m": "LCeq,15min"})
    notice = notices("ops", caption=caption).of(transition(TransitionType.ONSET, ONSET))
    assert (notice.name, notice.metric_label, notice.labels) == ("Gate A", "LCeq,15min", {"site": "dock"})
    assert notice.summary == "gate-a (Gate A) LCeq,15min 66.2 dB > 65.0 dB"


def test_the_receivers_of_an_onset_are_notified_of_the_rest_whatever_the_rule_says_now() -> None:
    made = notices("ops")
    assert receivers(made, TransitionType.ONSET, ONSET) == ("ops",)
    made.configure(config("site"))
    assert receivers(made, TransitionType.ACK, ONSET) == ("ops",)
    assert receivers(made, TransitionType.CLEAR, cleared(ONSET)) == ("ops",)


def test_an_alert_that_has_cleared_is_forgotten() -> None:
    made = notices("ops")
    receivers(made, TransitionType.ONSET, ONSET)
    receivers(made, TransitionType.CLEAR, cleared(ONSET))
    made.configure(config("site"))
    assert receivers(made, TransitionType.ONSET, ONSET) == ("site",)


def test_a_restart_goes_on_with_the_receivers_that_were_notified() -> None:
    made = notices("site")
    made.restore({str(ONSET.id): {"ops"}})
    assert receivers(made, TransitionType.CLEAR, cleared(ONSET)) == ("ops",)
