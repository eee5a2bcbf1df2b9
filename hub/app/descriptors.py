"""File descriptors: raises their limit, and decides how many connections the web server may accept."""

import resource

from hub.config.models import Config

_FOR_THE_PROCESS = (
    96  # standard streams, event loops, log, lock, watches, resolver, files that are open for a moment
)
_FOR_THE_DATABASE = 32
_FOR_REDIS = 16
_PER_UNIT = 2  # the link, and a probe beside it
_PER_RECEIVER = 24  # eight connections, an event loop of its own, and its wake-ups
_PER_FEED = 48  # sessions, and the files of results
_FEWEST_CONNECTIONS = 32
_MOST_CONNECTIONS = 2048  # each costs memory too


def raise_limit() -> int:
    """Raise the limit of descriptors to what the system allows; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            pass  # some systems report an infinite limit and then refuse it; the old limit stays
    return limit()


def limit() -> int:
    """The descriptors that this process may have."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def reserved(config: Config) -> int:
    """The descriptors that meters, receivers, feeds and the database may need at once."""
    return (
        _FOR_THE_PROCESS
        + _FOR_THE_DATABASE
        + (_FOR_REDIS if config.redis is not None else 0)
        + _PER_UNIT * len(config.units)
        + _PER_RECEIVER * len(config.alerts.receivers)
        + _PER_FEED * len(config.feeds)
    )


def most_connections(config: Config, allowed: int) -> int:
    """The connections that the web server may hold at once, with `allowed` descriptors in all."""
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, allowed - reserved(config)))


def too_few(config: Config, allowed: int) -> str | None:
    """What to do when the limit leaves the web server too few descriptors; None while it is high enough."""
    needed = reserved(config) + _FEWEST_CONNECTIONS
    if allowed >= needed:
        return None
    return f"only {allowed} file descriptors are allowed, and this configuration needs {needed}: raise ulimit -n"
