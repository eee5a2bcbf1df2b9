"""Names of time zones, checked."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from alerts.model.spelling import did_you_mean


def known_timezone(name: str) -> str:
    """The name of a time zone that this machine knows. Raises ValueError for any other text."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones()) or "; write an IANA name such as Europe/London"
        raise ValueError(f"{name!r} is not a time zone{hint}") from None
    return name
