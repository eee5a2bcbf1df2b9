"""What can go wrong with Oracle, by name and in the hub's own words: the driver's may hold a DSN with a secret."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import oracledb

from hub.oracle.words import words_for


class OracleError(Exception):
    """Something Oracle could not do. `code` is such as `ORA-00942`; the text is the hub's own and has no secret."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class OracleUnavailable(OracleError):
    """The database cannot be reached or went away: nothing is wrong with the statement."""


class OracleRejected(OracleError):
    """The database answered, and said no: credentials, rights, or the statement itself."""


class DriverFailed(OracleError):
    """The driver raised an error that is not its own: it could not read what the database sent."""

    def __init__(self, kind: str) -> None:
        super().__init__("DRIVER", f"the Oracle driver cannot read what the database sent ({kind})")


class TextRefused(DriverFailed):
    """The database does not write dates and numbers as text, as every Oracle does when it is asked with TO_CHAR."""


class DeadlineExceeded(OracleUnavailable):
    """A stage took too long; `stage` is acquire, connect, query or call."""

    def __init__(self, stage: str, limit_s: float) -> None:
        super().__init__("DEADLINE", f"{stage} took longer than {limit_s:g} s")
        self.stage = stage


CALL_TIMED_OUT = "DPY-4024"
UNAVAILABLE = frozenset(
    {
        *("DPY-1001", "DPY-4011", "DPY-6000", "DPY-6001", "DPY-6003", "DPY-6005"),
        *("ORA-00257", "ORA-01033", "ORA-01034", "ORA-01089", "ORA-03113", "ORA-03114", "ORA-03135"),
        *("ORA-12170", "ORA-12537", "ORA-12541", "ORA-12547", "ORA-12570", "ORA-02068"),
    }
)
"""Codes that mean the database, its listener or the far end of a database link is not there."""

_CODE = re.compile(r"\b(?:ORA|DPY)-\d{4,5}\b")


def translate(error: oracledb.Error, call_s: float) -> OracleError:
    """The hub's error for one of the driver's; the innermost code, since the driver wraps the cause in its own."""
    detail = error.args[0] if error.args else None
    code = getattr(detail, "full_code", "") or "DPY-0000"
    if code == CALL_TIMED_OUT:
        return DeadlineExceeded("call", call_s)
    if code in UNAVAILABLE:
        inner = _CODE.findall(getattr(detail, "message", None) or "")[-1:]
        code = (inner or [code])[0]
        return OracleUnavailable(code, words_for(code))
    return OracleRejected(code, words_for(code))


@contextmanager
def driver_errors(call_s: float) -> Iterator[None]:
    """The block only awaits the driver. Whatever it raises becomes an `OracleError`; cancellation passes.

    A date before the year 1 raises ValueError out of the driver's decoder, and a damaged packet raises IndexError,
    AssertionError or anything else. The text of such an error may quote the data, so only its type is kept.
    """
    try:
        yield
    except oracledb.Error as error:
        raise translate(error, call_s) from None
    except OSError as error:
        raise OracleUnavailable("NETWORK", f"the connection failed ({type(error).__name__})") from None
    except Exception as error:  # noqa: BLE001 - the driver's decoder raises what Python raises; each has this name
        raise DriverFailed(type(error).__name__) from None
