"""Messages for the codes of Oracle and its driver: what is wrong, and what a person can do about it."""

_MESSAGES = {
    "ORA-00018": "the database has no session left",
    "ORA-00020": "the database has no process left for a session",
    "ORA-00028": "the session was killed by an administrator",
    "ORA-00257": "the database is stopped until its archive has room",
    "ORA-00904": "the view does not have one of the columns that the hub reads",
    "ORA-00942": "the table or view does not exist, or the user may not read it; check feeds[].view",
    "ORA-01005": "the database got no password; set feeds[].password, then reload",
    "ORA-01013": "the database cancelled the statement",
    "ORA-01017": "the user name or the password is wrong; correct feeds[].password, then reload",
    "ORA-01031": "the user may not read this; grant SELECT to it",
    "ORA-01033": "the database is starting or stopping",
    "ORA-01034": "the database is not started",
    "ORA-01045": "the user may not log on; grant CREATE SESSION to it",
    "ORA-01089": "the database is stopping",
    "ORA-01555": "the statement took longer than the database keeps old data",
    "ORA-01652": "the database has no temporary space left",
    "ORA-02063": "the far end of a database link failed",
    "ORA-02068": "the far end of a database link cannot be reached",
    "ORA-02391": "the user has too many sessions already",
    "ORA-03113": "the database ended the connection",
    "ORA-03114": "the connection to the database is gone",
    "ORA-03135": "the connection to the database was lost",
    "ORA-04063": "the view has errors; the database cannot compile it",
    "ORA-12154": "the name in feeds[].dsn is not known",
    "ORA-12170": "the database did not answer in time",
    "ORA-12505": "the listener does not know the SID of feeds[].dsn",
    "ORA-12514": "the listener does not know the service of feeds[].dsn",
    "ORA-12516": "the listener has no free handler; the database may have too many sessions",
    "ORA-12519": "the listener has no free handler; the database may have too many sessions",
    "ORA-12520": "the listener has no free handler; the database may have too many sessions",
    "ORA-12528": "the listener blocks new connections; the database may be starting",
    "ORA-12537": "the listener ended the connection",
    "ORA-12541": "no listener answers at feeds[].dsn",
    "ORA-12547": "the listener lost the connection",
    "ORA-12570": "the network packet could not be read",
    "ORA-12757": "the listener does not know the instance of feeds[].dsn",
    "ORA-28000": "the account is locked; have it unlocked, then reload or force a refresh",
    "ORA-28001": "the password has expired; set a new one, also in feeds[].password, then reload",
    "ORA-28002": "the password will expire soon; set a new one, also in feeds[].password",
    "DPY-1001": "the connection was dropped",
    "DPY-3010": "this version of the database is too old for the driver; it must be 12.1 or newer",
    "DPY-3015": "the password verifier of the account is too old for the driver; set the password anew",
    "DPY-4000": "the name in feeds[].dsn is not known",
    "DPY-4011": "the database or the network closed the connection",
    "DPY-4026": "there is no tnsnames.ora; write feeds[].dsn as host:port/service",
    "DPY-4027": "there is no tnsnames.ora; write feeds[].dsn as host:port/service",
    "DPY-6000": "the listener refused the connection",
    "DPY-6001": "the listener does not know the service of feeds[].dsn",
    "DPY-6003": "the listener does not know the SID of feeds[].dsn",
    "DPY-6005": "the database cannot be reached at feeds[].dsn",
}


def message_for(code: str) -> str:
    """The message for a code; a general one for an unknown code."""
    if code in _MESSAGES:
        return _MESSAGES[code]
    if code.startswith("ORA-"):
        return f"the database refused the request; Oracle's documentation explains {code}"
    return f"the driver failed; the documentation of python-oracledb explains {code}"
