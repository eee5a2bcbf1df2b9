import pytest

from alerts.config.rule import Receiver
from alerts.testing.trial import send_test
from tests.alerts.delivery.test_webhook import answering, serving

pytestmark = pytest.mark.anyio


async def test_a_trial_shows_what_the_receiver_wrote_and_what_to_check() -> None:
    async with serving(answering("400 Bad Request", b"invalid_payload")) as url:
        trial = await send_test(Receiver(name="ops", url=url), "site", "0.1")
    assert not trial.is_delivered
    lines = trial.text.splitlines()
    assert lines[0].startswith("ops did not accept it: HTTP 400 after ")
    assert lines[1:] == ["its response: invalid_payload", "check that the receiver takes the format it is sent"]


async def test_a_trial_that_is_delivered_says_so() -> None:
    async with serving(answering("200 OK", b"ok")) as url:
        trial = await send_test(Receiver(name="ops", url=url), "site", "0.1")
    assert trial.is_delivered
    assert trial.text.startswith("ops accepted it: 200 in ")
    assert trial.text.endswith("\nits response: ok")
