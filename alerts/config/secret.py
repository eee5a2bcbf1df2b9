"""The secret of a receiver, as Standard Webhooks writes it. Pure."""

import base64
import binascii

_SECRET_PREFIX = "whsec_"
_LEAST_KEY, _MOST_KEY = 24, 64  # bytes, as Standard Webhooks asks


def parse_secret(text: str) -> bytes:
    """The key of a `whsec_…` secret. Raises ValueError, without the secret, saying how to write one."""
    how = "write whsec_ and base64 of 24 to 64 random bytes, such as: echo whsec_$(openssl rand -base64 32)"
    if not text.startswith(_SECRET_PREFIX):
        raise ValueError(f"a webhook secret does not start with whsec_; {how}")
    try:
        encoded = text.removeprefix(_SECRET_PREFIX)
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a webhook secret is not base64 after whsec_; {how}") from None
    if not _LEAST_KEY <= len(key) <= _MOST_KEY:
        raise ValueError(f"a webhook secret holds {len(key)} bytes after whsec_, not 24 to 64; {how}")
    return key
