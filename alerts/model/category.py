"""The states of equipment, as SEMI E10 names them."""

from enum import StrEnum


class Category(StrEnum):
    """The SEMI E10 state of a machine; INACTIVE of one out of the count, OTHER for unknown status codes."""

    PRODUCTIVE = "PRODUCTIVE"
    STANDBY = "STANDBY"
    DOWN = "DOWN"
    ENGINEERING = "ENGINEERING"
    NOT_SCHEDULED = "NOT_SCHEDULED"
    INACTIVE = "INACTIVE"
    OTHER = "OTHER"
