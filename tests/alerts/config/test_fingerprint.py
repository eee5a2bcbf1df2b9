from pydantic import SecretStr

from alerts.config.fingerprint import fingerprint
from alerts.config.rule import Receiver


def test_where_and_how_counts_and_nothing_else() -> None:
    ops = Receiver(name="ops", url="http://a/")
    assert fingerprint(ops) == fingerprint(ops.model_copy(update={"rate_limit": "10/min"}))
    for change in ({"url": "http://b/"}, {"secret": SecretStr("x")}, {"headers": {"a": "b"}}):
        assert fingerprint(ops) != fingerprint(ops.model_copy(update=change))
