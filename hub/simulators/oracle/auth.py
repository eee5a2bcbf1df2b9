"""The server side of the 12c password verifier: the challenge of phase one, the check and answer of phase two."""

import hashlib
import secrets
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

VERIFIER_12C = 0x4815
ROUNDS, KEY_ROUNDS = 4096, 3
RELEASE = 23 << 24 | 9 << 16 | 25 << 4 | 7


def _cipher(key: bytes) -> Cipher[CBC]:
    return Cipher(AES(key), CBC(bytes(16)))


def _encrypt(key: bytes, raw: bytes) -> bytes:
    padding = 16 - len(raw) % 16
    work = _cipher(key).encryptor()
    return work.update(raw + bytes((padding,)) * padding) + work.finalize()


def _decrypt(key: bytes, raw: bytes) -> bytes:
    work = _cipher(key).decryptor()
    return work.update(raw) + work.finalize()


class Passwords:
    """The users and, made once for each, the key their password verifier holds."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {name.upper(): password for name, password in users.items()}
        self._keys: dict[str, bytes] = {}
        self.salt = secrets.token_bytes(16)

    def password(self, user: str) -> str | None:
        return self._users.get(user.upper())

    def key(self, user: str) -> bytes:
        """The key of the verifier; for an unknown user one that no password matches, so that both fail alike."""
        name = user.upper()
        if name not in self._keys:
            password = self._users.get(name, secrets.token_hex())
            stretched = hashlib.pbkdf2_hmac(
                "sha512", password.encode(), self.salt + b"AUTH_PBKDF2_SPEEDY_KEY", ROUNDS, 64
            )
            self._keys[name] = hashlib.sha512(stretched + self.salt).digest()[:32]
        return self._keys[name]


class Logon:
    """One authentication of one user."""

    def __init__(self, passwords: Passwords, user: str) -> None:
        self._passwords = passwords
        self._part = secrets.token_bytes(32)
        self._derivation_salt = secrets.token_bytes(16)
        self.user = user

    def challenge(self) -> list[tuple[str, str, int]]:
        """The parameters of phase one."""
        offer = _encrypt(self._passwords.key(self.user), self._part)[:32]
        return [
            ("AUTH_SESSKEY", offer.hex().upper(), 1),
            ("AUTH_VFR_DATA", self._passwords.salt.hex().upper(), VERIFIER_12C),
            ("AUTH_PBKDF2_CSK_SALT", self._derivation_salt.hex().upper(), 0),
            ("AUTH_PBKDF2_VGEN_COUNT", str(ROUNDS), 0),
            ("AUTH_PBKDF2_SDER_COUNT", str(KEY_ROUNDS), 0),
        ]

    def proof(self, pairs: Mapping[str, str]) -> str | None:
        """The server's own proof for phase two, or None when the password is wrong."""
        client_part = _decrypt(self._passwords.key(self.user), bytes.fromhex(pairs["AUTH_SESSKEY"]))
        both = (client_part[:32] + self._part).hex().upper().encode()
        session_key = hashlib.pbkdf2_hmac("sha512", both, self._derivation_salt, KEY_ROUNDS, 32)
        clear = _decrypt(session_key, bytes.fromhex(pairs["AUTH_PASSWORD"]))
        given = clear[16 : -clear[-1]]
        expected = self._passwords.password(self.user)
        if expected is None or not secrets.compare_digest(given, expected.encode()):
            return None
        return _encrypt(session_key, secrets.token_bytes(16) + b"SERVER_TO_CLIENT").hex().upper()


def welcome(proof: str, session_id: int, service: str) -> list[tuple[str, str, int]]:
    """The parameters of phase two."""
    return [
        ("AUTH_VERSION_STRING", "- Production", 0),
        ("AUTH_VERSION_NO", str(RELEASE), 0),
        ("AUTH_SESSION_ID", str(session_id), 0),
        ("AUTH_SERIAL_NUM", str(session_id * 7 % 65535), 0),
        ("AUTH_SC_SERVICE_NAME", service, 0),
        ("AUTH_SC_DBUNIQUE_NAME", "WIRE", 0),
        ("AUTH_INSTANCENAME", "wire", 0),
        ("AUTH_MAX_OPEN_CURSORS", "300", 0),
        ("AUTH_MAX_IDEN_LENGTH", "128", 0),
        ("AUTH_SVR_RESPONSE", proof, 0),
    ]
