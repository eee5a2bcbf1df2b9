"""Well-known services that take only messages of their own form, known by the address of a receiver: pure."""

import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit


class _Service(NamedTuple):
    name: str
    host: str  # a regular expression of the whole host
    path: str = ""  # one of the beginning of the path
    format: str | None = None  # the receiver's `format` that it takes


_SERVICES = (
    _Service("Slack", r"hooks\.slack(-gov)?\.com", format="slack"),
    _Service(
        "Discord", r"((canary|ptb)\.)?discord(app)?\.com", r"/api/(v\d+/)?webhooks/[^/]+/[^/]+/slack", "slack"
    ),
    _Service("Discord", r"((canary|ptb)\.)?discord(app)?\.com", r"/api/(v\d+/)?webhooks/"),
    _Service("Microsoft Teams", r"(.+\.)?webhook\.office(365)?\.com", format="teams"),
    _Service("Microsoft Teams", r"outlook\.office(365)?\.com", r"/webhook", "teams"),
    _Service("Power Automate", r".+\.logic\.azure\.(com|us|cn)", format="teams"),
    _Service("Power Automate", r".+\.api\.powerplatform\.com", format="teams"),
    _Service("Alertmanager", r".*", r"(/[^?]*)?/api/v[12]/alerts/?$", "alertmanager"),
    _Service("Google Chat", r"chat\.googleapis\.com"),
    _Service("PagerDuty", r"events(\.eu)?\.pagerduty\.com"),
    _Service("Opsgenie", r"api(\.eu)?\.opsgenie\.com"),
    _Service("Splunk On-Call", r"alert\.victorops\.com"),
    _Service("ntfy", r"ntfy\..+"),
    _Service("Telegram", r"api\.telegram\.org"),
    _Service("Pushover", r"api\.pushover\.net"),
    _Service("Webex", r"webexapis\.com"),
    _Service("LINE", r"(notify-)?api\.line\.me"),
    _Service("WeCom", r"qyapi\.weixin\.qq\.com"),
    _Service("DingTalk", r"oapi\.dingtalk\.com"),
    _Service("Feishu", r"open\.(feishu\.cn|larksuite\.com)"),
)


def unsuitable_format(url: str, format_: str, formats: Collection[str]) -> str | None:
    """Why a service will not take messages in this format, and what to write instead; None where nothing is known.

    `formats` are those that a receiver can have. The address, which may carry a token, is not told.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    for service in _SERVICES:
        if re.fullmatch(service.host, host) and re.match(service.path, parts.path):
            if format_ == service.format:
                return None
            instead = (
                f"write format: {service.format}"
                if service.format in formats
                else "this version of the hub cannot write it, so send to a service that translates"
            )
            return f"{service.name} takes messages of its own form only, not format: {format_}; {instead}"
    return None
