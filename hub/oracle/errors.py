"""The errors of Oracle by name. Their texts are the hub's own, because the driver's may contain a secret."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import oracledb

from hub.oracle.messages import message_for


class OracleError(Exception):
    """A failure of Oracle. `code` is such as `ORA-00942`; the text is the hub's own and contains no secret."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class OracleUnavailable(OracleError):
    """The database cannot be reached, or the connection was lost; the statement may be right."""


class OracleRejected(OracleError):
    """The database refused the credentials, the rights, or the statement itself."""


class DriverFailed(OracleError):
    """The driver raised an unexpected error: it could not decode what the database sent."""

    def __init__(self, kind: str) -> None:
        super().__init__("DRIVER", f"the Oracle driver cannot read what the database sent ({kind})")


class TextRefused(DriverFailed):
    """The database does not return dates and numbers as text with TO_CHAR, as every Oracle does."""


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
"""Codes that mean the database, its listener or the far end of a database link is unavailable."""

_CODE = re.compile(r"\b(?:ORA|DPY)-\d{4,5}\b")


def translate(error: oracledb.Error, call_s: float) -> OracleError:
    """The hub's error for one of the driver's, with the innermost code: the driver wraps it in codes of its own."""
    detail = error.args[0] if error.args else None
    code = getattr(detail, "full_code", "") or "DPY-0000"
    if code == CALL_TIMED_OUT:
        return DeadlineExceeded("call", call_s)
    if code in UNAVAILABLE:
        inner = _CODE.findall(getattr(detail, "message", None) or "")[-1:]
        code = (inner or [code])[0]
        return OracleUnavailable(code, message_for(code))
    return OracleRejected(code, message_for(code))


@contextmanager
def driver_errors(call_s: float) -> Iterator[None]:
    """Turn every exception of a block that only awaits the driver into an `OracleError`, except cancellation.

    A date before the year 1 makes the driver's decoder raise ValueError, and a damaged packet IndexError,
    AssertionError or anything else. The text of such an error may quote the data, so only its type is kept.
    """
    try:
        yield
    except oracledb.Error as error:
        raise translate(error, call_s) from None
    except OSError as error:
        raise OracleUnavailable("NETWORK", f"the connection failed ({type(error).__name__})") from None
    except Exception as error:  # noqa: BLE001 - the driver's decoder raises any error of Python
        raise DriverFailed(type(error).__name__) from None
