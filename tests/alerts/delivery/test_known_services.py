import pytest

from alerts.delivery.known_services import unsuitable_format

FORMATS = ("hub", "slack", "teams", "alertmanager")


@pytest.mark.parametrize(
    ("url", "name", "instead"),
    [
        ("https://hooks.slack.com/services/T0/B0/hunter2", "Slack", "format: slack"),
        ("https://HOOKS.SLACK.COM./services/T0/B0/hunter2", "Slack", "format: slack"),
        ("https://acme.webhook.office.com/webhookb2/hunter2", "Microsoft Teams", "format: teams"),
        ("https://outlook.office.com/webhook/hunter2", "Microsoft Teams", "format: teams"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/hunter2", "Power Automate", "format: teams"),
        ("https://x.environment.api.powerplatform.com:443/hunter2", "Power Automate", "format: teams"),
        ("http://am:9093/api/v2/alerts", "Alertmanager", "format: alertmanager"),
        ("http://am/prefix/api/v2/alerts/", "Alertmanager", "format: alertmanager"),
        ("https://discord.com/api/webhooks/1/hunter2", "Discord", "translates"),
        ("https://discord.com/api/webhooks/1/hunter2/slack", "Discord", "format: slack"),
        ("https://chat.googleapis.com/v1/spaces/A/messages?key=hunter2", "Google Chat", "translates"),
        ("https://events.pagerduty.com/v2/enqueue", "PagerDuty", "translates"),
        ("https://api.eu.opsgenie.com/v2/alerts", "Opsgenie", "translates"),
        ("https://ntfy.sh/hunter2", "ntfy", "translates"),
        ("https://ntfy.example.org/hunter2", "ntfy", "translates"),
        ("https://api.telegram.org/bothunter2/sendMessage", "Telegram", "translates"),
    ],
)
def test_a_service_with_a_form_of_its_own_is_told_by_its_address(url: str, name: str, instead: str) -> None:
    found = unsuitable_format(url, "hub", FORMATS)
    assert found is not None
    assert found.startswith(name)
    assert found.endswith(instead) or instead in found
    assert "hunter2" not in found


def test_a_format_that_this_version_does_not_have_is_not_advised() -> None:
    found = unsuitable_format("https://hooks.slack.com/services/T0/B0/x", "hub", ("hub",))
    assert found is not None
    assert "write format" not in found


@pytest.mark.parametrize(
    ("url", "format_"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", "slack"),
        ("http://am:9093/api/v2/alerts", "alertmanager"),
        ("https://example.org/hook", "hub"),
        ("https://hooks.zapier.com/hooks/catch/1/2", "hub"),
        ("https://discord.com/other", "hub"),
        ("https://slack.example.org/hooks.slack.com", "hub"),
        ("https://example.org/api/v2/alerts/mine", "hub"),
    ],
)
def test_other_addresses_and_fitting_formats_are_fine(url: str, format_: str) -> None:
    assert unsuitable_format(url, format_, FORMATS) is None
