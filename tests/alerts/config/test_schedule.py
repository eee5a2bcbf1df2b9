"""Windows of local time, over midnight and over clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.config.rule import Schedule
from alerts.config.schedule import Window, is_within

LONDON = "Europe/London"


def schedule(**fields: object) -> Schedule:
    return Schedule.model_validate(fields)


def utc(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_without_times_a_schedule_holds_all_day() -> None:
    assert is_within(schedule(), utc(3, 18, 0), LONDON)
    assert is_within(schedule(to="24:00"), utc(3, 18, 23, 59), LONDON)


def test_the_first_minute_belongs_and_the_last_does_not() -> None:
    day = schedule(**{"from": "08:00", "to": "18:00"})
    assert [
        is_within(day, utc(1, 5, hour, minute), LONDON) for hour, minute in ((7, 59), (8, 0), (17, 59), (18, 0))
    ] == [
        False,
        True,
        True,
        False,
    ]


def test_an_overnight_window_belongs_to_the_day_it_starts_on() -> None:
    friday_night = schedule(days=["fri"], **{"from": "22:00", "to": "07:00"})
    assert is_within(friday_night, utc(1, 2, 22), LONDON)
    assert is_within(friday_night, utc(1, 3, 6, 59), LONDON)
    assert not is_within(friday_night, utc(1, 3, 7), LONDON)
    assert not is_within(friday_night, utc(1, 3, 22), LONDON)
    assert not is_within(friday_night, utc(1, 2, 6), LONDON)


def test_equal_times_are_a_whole_day() -> None:
    whole = schedule(days=["mon"], **{"from": "08:00", "to": "08:00"})
    assert is_within(whole, utc(1, 6, 7, 59), LONDON)
    assert not is_within(whole, utc(1, 6, 8), LONDON)


def test_the_zone_of_the_schedule_wins_over_the_hubs() -> None:
    taipei = schedule(**{"from": "08:00", "to": "09:00", "timezone": "Asia/Taipei"})
    assert is_within(taipei, utc(1, 5, 0, 30), LONDON)
    assert not is_within(taipei, utc(1, 5, 8, 30), LONDON)


def test_the_edges_move_with_summer_time() -> None:
    night = schedule(**{"from": "22:00", "to": "07:00"})
    assert is_within(night, utc(3, 28, 22), LONDON)  # GMT still
    assert is_within(night, utc(3, 29, 5, 59), LONDON)  # 06:59 BST
    assert not is_within(night, utc(3, 29, 6), LONDON)
    assert is_within(night, utc(10, 25, 6, 59), LONDON)  # GMT again
    assert not is_within(night, utc(10, 25, 7), LONDON)


def test_a_time_the_clock_jumps_over_is_the_moment_of_the_jump() -> None:
    jump = schedule(**{"from": "01:30", "to": "03:00"})  # on 29 March 01:00 GMT is followed by 02:00 BST
    assert not is_within(jump, utc(3, 29, 0, 59), LONDON)
    assert is_within(jump, utc(3, 29, 1), LONDON)
    assert not is_within(jump, utc(3, 29, 2), LONDON)
    before = schedule(**{"from": "00:00", "to": "01:30"})
    assert is_within(before, utc(3, 29, 0, 59), LONDON)
    assert not is_within(before, utc(3, 29, 1), LONDON)


def test_a_time_that_comes_twice_is_the_first_of_the_two() -> None:
    early = schedule(**{"from": "00:00", "to": "01:30"})  # 01:30 BST is 00:30 UTC, 01:30 GMT an hour later
    assert is_within(early, utc(10, 25, 0, 29), LONDON)
    assert not is_within(early, utc(10, 25, 0, 30), LONDON)
    late = schedule(**{"from": "01:30", "to": "03:00"})
    assert is_within(late, utc(10, 25, 0, 30), LONDON)


def test_a_window_that_is_asked_forwards_and_backwards_gives_the_same_answers() -> None:
    night = schedule(days=["mon", "wed"], **{"from": "22:00", "to": "07:00"})
    window = Window(night, LONDON)
    moments = [utc(3, 23, 0) + timedelta(minutes=17 * step) for step in range(900)]
    forwards = [window.is_open(moment) for moment in moments]
    backwards = [window.is_open(moment) for moment in reversed(moments)]
    assert forwards == backwards[::-1]
    assert forwards == [is_within(night, moment, LONDON) for moment in moments]


@settings(max_examples=300)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30)).map(lambda wall: wall.replace(tzinfo=UTC)),  # noqa: DTZ001
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    st.integers(0, 23),
    st.integers(0, 23),
    st.sampled_from([LONDON, "Asia/Taipei", "America/New_York", "Australia/Lord_Howe"]),
)
def test_away_from_clock_changes_the_wall_clock_decides(
    moment: datetime, days: set[str], start: int, end: int, zone: str
) -> None:
    local = moment.astimezone(ZoneInfo(zone))
    around = {(moment + timedelta(hours=step)).astimezone(ZoneInfo(zone)).utcoffset() for step in range(-36, 37)}
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    today, yesterday = names[local.weekday()] in days, names[local.weekday() - 1] in days
    if start < end:
        expected = today and start <= local.hour < end
    else:
        expected = (today and local.hour >= start) or (yesterday and local.hour < end)
    if len(around) == 1:
        found = is_within(
            schedule(days=sorted(days), **{"from": f"{start:02}:00", "to": f"{end:02}:00"}), moment, zone
        )
        assert found is expected
