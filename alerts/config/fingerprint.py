"""A fingerprint that shows whether a receiver has changed, without its secrets."""

import hashlib
import json

from alerts.config.rule import Receiver


def fingerprint(receiver: Receiver) -> str:
    """A hash over address, format, headers and secrets; other settings do not change it."""
    given = receiver.secret if isinstance(receiver.secret, tuple) else (receiver.secret,)
    secrets = [secret.get_secret_value() for secret in given if secret is not None]
    content = json.dumps([receiver.url, receiver.format, sorted(receiver.headers.items()), secrets])
    return hashlib.sha256(content.encode()).hexdigest()
