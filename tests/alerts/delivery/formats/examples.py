"""Transitions of every kind, each with the time its commit took in ms (None: not known)."""

from dataclasses import replace
from datetime import timedelta

from alerts.model.alert import Alert, TransitionType
from alerts.model.delivery import Notice
from alerts.model.sample import WindowBasis
from tests.alerts.fakes import START, cleared, onset, transition

HUB = "site-office"

_LEVEL = replace(onset(), window=WindowBasis(900, 0.98, ("under",)), started_s=100.0)
_MACHINE = onset("down", "equipment/fab/GWBK-9001", START, "DOWN", metric="status_category")
_UNIT = onset("unit-unreachable", "unit/gate-b", START, False, metric="reachable", reason="refused")
_SILENT = replace(onset(subject="unit/gate-c"), value=None)
_OVER = replace(onset(subject="unit/gate-d", value=float("inf")), threshold=70, peak=float("nan"))
_ACKNOWLEDGED = replace(
    _LEVEL, acknowledged_by="anna", acknowledged_at=START, comment="on my way\n\ud800 \0", sequence=3
)
_LATER = START + timedelta(seconds=123, microseconds=456789)


def _notice(kind: TransitionType, alert: Alert, summary: str, latency_ms: float | None = 0.4) -> Notice:
    labels = {"site": "dockside", "gate": 'Tür "7" \\ 25 °C'}
    told = transition(kind, alert)
    return Notice(
        told, labels, summary, True, latency_ms, ("ops", "site"), name="Gate A · Nord", metric_label="LAeq,15min"
    )


def _machine() -> Notice:
    return replace(
        _notice(TransitionType.ONSET, _MACHINE, "GWBK-9001 DOWN"), labels={}, name=None, metric_label=None
    )


NOTICES: tuple[tuple[Notice, float | None], ...] = (
    (_notice(TransitionType.ONSET, _LEVEL, "gate-a LAeq,15min 66.2 dB > 65.0 dB for 30 s"), 3.1),
    (_notice(TransitionType.LEVEL, replace(_LEVEL, severity="critical", value=81, sequence=2), "higher"), 12.34567),
    (_notice(TransitionType.ACK, _ACKNOWLEDGED, "gate-a acknowledged by anna: on my way"), 0.0),
    (_notice(TransitionType.UNACK, replace(_LEVEL, sequence=4), "gate-a no longer acknowledged"), None),
    (_notice(TransitionType.CLEAR, replace(cleared(_LEVEL, _LATER), cleared_s=820.0004, sequence=5), "over"), 1e-9),
    (
        replace(
            _notice(TransitionType.NO_DATA, replace(onset(subject="unit/gate-c"), value=None), "no data"),
            persisted=False,
        ),
        None,
    ),
    (_machine(), 2.0),
    (_notice(TransitionType.ONSET, _UNIT, "gate-b unreachable", None), 1234567.8),
    (_notice(TransitionType.ONSET, _OVER, "over range", -3.00049), 7.0),
)
