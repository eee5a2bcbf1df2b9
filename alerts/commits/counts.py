"""The counters of alerting."""

from dataclasses import dataclass


@dataclass(slots=True)
class AlertCounts:
    """Counted since the process started."""

    samples: int = 0
    dropped_samples: int = 0
    transitions: int = 0
    commits: int = 0
    failed_commits: int = 0
    announced_unpersisted: int = 0
    set_aside: int = 0  # rows that every database refuses
    lost_transitions: int = 0  # announced, and never stored: the database failed for too long
