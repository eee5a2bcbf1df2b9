"""Authentication: bearer tokens, login sessions, and the refusal of web pages from other origins."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from alerts.model.addresses import is_loopback
from hub.config.models import Role, Token
from hub.runtime.clock import Clock
from hub.web.http.address import without_port
from hub.web.http.problems import Problem

COOKIE = "hub_session"
SESSION_S = 7 * 86400
RANKS: Mapping[Role, int] = {"viewer": 0, "operator": 1, "admin": 2}
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Caller(NamedTuple):
    """An authenticated caller: the name of its token, and the role."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """True when the caller's role is `role` or above."""
        return RANKS[self.role] >= RANKS[role]


LOCAL = Caller("local", "admin")


class Sessions:
    """Login sessions of the page by their cookie values, which are random and held in memory only.

    Each token has at most `size` sessions; a further login ends the oldest of the same token. A session ends
    `SESSION_S` seconds after the login, or when its token is removed from the configuration.
    """

    def __init__(self, clock: Clock, size: int = 1000) -> None:
        self._clock = clock
        self._size = size
        self._sessions: dict[str, tuple[Token, float]] = {}
        self._by_token: dict[str, dict[str, None]] = {}  # cookie values by the name of the token, the oldest first

    def open(self, token: Token) -> str:
        """Start a session; returns its cookie value."""
        own = self._by_token.setdefault(token.name, {})
        while len(own) >= self._size:
            self.close(next(iter(own)))
        session = secrets.token_urlsafe(32)
        self._sessions[session] = (token, self._clock.steady() + SESSION_S)
        self._by_token.setdefault(token.name, {})[session] = None
        return session

    def find(self, session: str) -> Token | None:
        """The token that opened the session; None when there is no such session or it has ended."""
        token, ends = self._sessions.get(session, (None, 0.0))
        if token is not None and self._clock.steady() >= ends:
            self.close(session)
            return None
        return token

    def close(self, session: str) -> None:
        """End the session, if there is one."""
        token, _ = self._sessions.pop(session, (None, 0.0))
        if token is not None:
            own = self._by_token[token.name]
            del own[session]
            if not own:
                del self._by_token[token.name]


def find_token(tokens: Iterable[Token], presented: str) -> Token | None:
    """The token with this secret, or None, in a time that does not depend on which one matches."""
    digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
    found = None
    for token in tokens:
        if hmac.compare_digest(hashlib.sha256(token.token.get_secret_value().encode()).digest(), digest):
            found = token
    return found


def authenticate(connection: HTTPConnection, tokens: tuple[Token, ...], sessions: Sessions) -> Caller | None:
    """The caller; None for an anonymous one. Raises Problem 401 for a wrong token, 403 for a foreign web page."""
    headers = connection.headers
    if not tokens:
        _require_local(connection)
        return LOCAL
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, presented = authorization.partition(" ")
        token = find_token(tokens, presented.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise unauthorized("this token is not known; send Authorization: Bearer TOKEN with one of hub.tokens")
        return Caller(token.name, token.role)
    session = connection.cookies.get(COOKIE)
    token = None if session is None else sessions.find(session)
    token = None if token is None else _as_configured(token, tokens)
    if token is None:
        return None
    changes = connection.scope["type"] == "websocket" or connection.scope["method"] not in _SAFE_METHODS
    if changes and is_foreign(headers):
        raise Problem(403, "this request came from a page of another origin; use the hub's own page, or a token")
    return Caller(token.name, token.role)


def _as_configured(token: Token, tokens: Iterable[Token]) -> Token | None:
    """The token of a session as configured now: its role may have changed since the login."""
    return next((each for each in tokens if (each.name, each.token) == (token.name, token.token)), None)


def _require_local(connection: HTTPConnection) -> None:
    """Raise Problem 403 unless the request is from this machine, to a loopback Host, and from no foreign page."""
    client = connection.scope.get("client")
    if client is None or not is_loopback(client[0]):
        raise Problem(403, "without hub.tokens the hub serves this machine only; add a token to config.yaml")
    if not is_loopback(without_port(connection.headers.get("host", ""))):
        raise Problem(
            403, "without hub.tokens the hub answers to 127.0.0.1 and localhost only; use that, or add a token"
        )
    if is_foreign(connection.headers):
        raise Problem(403, "this request came from a page of another origin; add a token to config.yaml and use it")


def unauthorized(detail: str) -> Problem:
    """401 with the WWW-Authenticate header; `detail` says how to authenticate."""
    return Problem(401, detail, {"WWW-Authenticate": 'Bearer realm="hub"'})


def is_foreign(headers: Headers) -> bool:
    """True when the request comes from a web page of another origin. Programs send no Origin."""
    origin = headers.get("origin")
    if origin is None:
        return False
    host = headers.get("host", "")
    return not host or origin.partition("://")[2].lower() != host.lower()
