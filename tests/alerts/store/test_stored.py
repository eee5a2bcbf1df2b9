from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from alerts.model.alert import Alert, State
from alerts.model.sample import WindowBasis
from alerts.store.stored import decode_alert, decode_labels, decode_value, encode_alert, encode_labels, encode_value

values = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text()
moments = st.none() | st.datetimes(timezones=st.just(UTC))


@given(values)
def test_a_value_keeps_its_type(value: float | str | bool | None) -> None:
    back = decode_value(encode_value(value))
    assert back == value
    assert type(back) is type(value)


@given(value=values, peak=values, started_at=moments, cleared_at=moments, state=st.sampled_from(State))
def test_an_alert_comes_back_as_it_was(
    value: float | str | bool | None,
    peak: float | str | bool | None,
    started_at: datetime | None,
    cleared_at: datetime | None,
    state: State,
) -> None:
    alert = Alert(
        "r", "unit/a", "h", "lp", state, "id", value=value, peak=peak, started_at=started_at, cleared_at=cleared_at
    )
    back = decode_alert(encode_alert(alert, 0.0), 0.0)
    assert back == alert
    assert type(back.value) is type(value)


def test_timers_go_on_where_they_stood_on_another_clock() -> None:
    alert = Alert("r", "unit/a", "h", "lp", State.PENDING, pending_since_s=50.0, cooldown_until_s=None)
    text = encode_alert(alert, 1_000_000.0)  # written 10 s after the rise, at steady 60
    back = decode_alert(text, 1_000_020.0)  # read by a process whose steady clock is 20 s behind
    assert back.pending_since_s == 30.0
    assert back.cooldown_until_s is None


def test_how_a_value_was_made_and_how_long_an_alert_lasted_come_back_on_another_clock() -> None:
    alert = Alert("r", "unit/a", "h", "lp", started_s=50.0, cleared_s=62.0, window=WindowBasis(9, 0.5, ("over",)))
    back = decode_alert(encode_alert(alert, 1_000_000.0), 1_000_020.0)
    assert (back.started_s, back.lasted, back.window) == (30.0, 12.0, WindowBasis(9, 0.5, ("over",)))


def test_labels_come_back() -> None:
    assert decode_labels(encode_labels({"site": "Düne"})) == {"site": "Düne"}
