"""Rows as releases of each revision wrote them, in SQL that SQLite and PostgreSQL both take.

`ROWS` gives for each revision what a release that made it could add. They stay as they are: a change of the tables
must read them, not rewrite them. The JSON is what the first release wrote, without the fields that came later.
"""

from collections.abc import Iterator, Mapping

ALERT = "ed97197a-2f7d-5762-a6a6-0e647d24f890"
CLEARED = "0f0c8f4e-51d9-5a2b-9f55-0c5c3a9d1b11"
NAMED = "b1f6f1f0-7c3e-5d0e-8f8e-3a1b2c4d5e6f"
WAITING, DEAD = "6d1f0a52-2f0e-5d0a-9b1c-5f6a7b8c9d0e", "7e2f1b63-3f1f-5e1b-8c2d-6f7b8c9d0e1f"

FIRING = (
    '{"rule": "night-limit", "subject": "unit/gate-a", "rule_hash": "8f2d", "metric": "laeq_15m", '
    '"state": "firing", "id": "ed97197a-2f7d-5762-a6a6-0e647d24f890", "severity": "critical", "value": 68.4, '
    '"threshold": 65.0, "peak": 71.2, "started_at": "2026-03-18T22:10:00.250000+00:00", "cleared_at": null, '
    '"reason": null, "acknowledged_by": null, "acknowledged_at": null, "comment": null, "sequence": 1, '
    '"last_value_s": 1773871800.25, "pending_since_s": null, "clearing_since_s": null, "level_since_s": [], '
    '"cooldown_until_s": null}'
)

_READING = (
    "'gate-a', '2026-03-18 22:10:00.250000', 4294967297, 68.4, 66.1, 95.6, 71.2, 51.3, 83.0, 69.0, 67.5, 65.2, "
    "55.1, 52.0, false, false, 'start', '2026-03-18 20:00:00.000000', '', 1.0, 1.0, NULL"
)
_WITHOUT_A_VALUE = (
    "'gate-a', '2026-03-18 22:10:01.250000', 4294967298, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
    "NULL, NULL, NULL, NULL, 'start', NULL, 'missing', 1.0, 1.0, NULL"
)

_DOCUMENT = (
    f'{{"version":1,"type":"alert.onset","id":"{ALERT}","sequence":1,"at":"2026-03-18T22:10:00.250Z","persisted":true,'
    f'"alert":{{"id":"{ALERT}","rule":"night-limit","subject":"gate-a","name":null,"kind":"unit",'
    '"labels":{"site":"dockside"},"severity":"critical","state":"firing","metric":"laeq_15m","metric_label":null,'
    '"value":68.4,"threshold":65.0,"peak":71.2,"started_at":"2026-03-18T22:10:00.250Z","cleared_at":null,'
    '"reason":null},"summary":"gate-a: Leq,15min 68.4 dB is above 65 dB","hub":"hub",'
    '"latency_ms":{"sample_to_decision":1.5,"decision_to_commit":null}}'
)

ROWS: Mapping[str, tuple[str, ...]] = {
    "0001": (
        f"INSERT INTO readings VALUES ({_READING})",
        f"INSERT INTO readings VALUES ({_WITHOUT_A_VALUE})",
        f"INSERT INTO snapshots VALUES ({_READING})",
        "INSERT INTO minutes VALUES ('gate-a', '2026-03-18 22:10:00.000000', 68.4, 68.4, 68.4, 2, 0.0333, "
        "6918309.709, 1.0, 2.0)",
        "INSERT INTO state_changes (unit_id, at, what, old, new, reason) VALUES "
        "('gate-a', '2026-03-18 22:09:00.000000', 'reachable', 'false', 'true', 'mute')",
        "INSERT INTO unit_states VALUES ('gate-b', true, false, '0123456789abcdef')",
        "INSERT INTO boots (started_at, version, batch) VALUES ('2026-03-18 20:00:00.000000', '0.1.0', 7)",
    ),
    "0002": (
        f"INSERT INTO alert_states VALUES ('night-limit', 'unit/gate-a', '{FIRING}')",
        "INSERT INTO alerts (id, rule, subject, rule_hash, metric, state, severity, value, threshold, peak, "
        "started_at, cleared_at, reason, acknowledged_by, acknowledged_at, comment, sequence, labels) VALUES "
        f"('{ALERT}', 'night-limit', 'unit/gate-a', '8f2d', 'laeq_15m', 'firing', 'critical', '68.4', '65.0', "
        "'71.2', '2026-03-18 22:10:00.250000', NULL, NULL, NULL, NULL, NULL, 1, '{\"site\": \"dockside\"}')",
        "INSERT INTO alerts (id, rule, subject, rule_hash, metric, state, severity, value, threshold, peak, "
        "started_at, cleared_at, reason, acknowledged_by, acknowledged_at, comment, sequence, labels) VALUES "
        f"('{CLEARED}', 'unit-unreachable', 'unit/gate-a', '77aa', 'reachable', 'inactive', 'warning', 'true', "
        "'null', 'null', '2026-03-18 21:00:00.000000', '2026-03-18 21:05:00.000000', 'mute', 'duty', "
        "'2026-03-18 21:01:00.000000', 'seen', 3, '{}')",
        "INSERT INTO transitions (alert_id, sequence, type, at, alert, labels, summary, persisted, "
        f"sample_to_decision_ms) VALUES ('{ALERT}', 1, 'alert.onset', '2026-03-18 22:10:00.250000', '{FIRING}', "
        "'{\"site\": \"dockside\"}', 'gate-a: Leq,15min 68.4 dB is above 65 dB', true, 1.5)",
        "INSERT INTO deliveries (id, receiver, type, created_at, alert_id, sequence, state, attempts, body) VALUES "
        f"('{WAITING}', 'ops', 'alert.onset', '2026-03-18 22:10:00.250000', '{ALERT}', 1, 'pending', 0, NULL)",
        "INSERT INTO deliveries (id, receiver, type, created_at, alert_id, sequence, state, attempts, first_at, "
        f"finished_at, body) VALUES ('{DEAD}', 'ops', 'alert.onset', '2026-03-18 21:00:00.000000', '{CLEARED}', 1, "
        "'dead', 14, '2026-03-18 21:00:00.000000', '2026-03-21 21:00:00.000000', '{\"type\":\"alert.onset\"}')",
        "INSERT INTO attempts (delivery_id, number, at, duration_s, status, error) VALUES "
        f"('{DEAD}', 14, '2026-03-21 20:59:00.000000', 0.25, 500, 'HTTP 500')",
        "INSERT INTO receiver_holds VALUES ('gone', 'c0ffee', '2026-03-18 22:00:00.000000')",
    ),
    "0003": (
        "INSERT INTO machine_status_changes (subject, old, new, at, reason) VALUES "
        "('equipment/fab/GWBK-9001', NULL, 'PRD', '2026-03-18 22:00:00.000000', NULL)",
        "INSERT INTO machine_status_changes (subject, old, new, at, reason) VALUES "
        "('equipment/fab/GWBK-9001', 'PRD', 'UDT', '2026-03-18 22:05:00.000000', 'alarm')",
    ),
    "0004": (
        "INSERT INTO meter_settings VALUES ('gate-a', 'Frequency Weighting', 'A', NULL, "
        "'2026-03-18 22:00:00.000000', '2026-03-18 20:00:00.000000')",
    ),
    "0005": (
        "INSERT INTO alerts (id, rule, subject, rule_hash, metric, state, severity, value, threshold, peak, "
        "started_at, cleared_at, sequence, labels, name, metric_label) VALUES "
        f"('{NAMED}', 'peak', 'unit/gate-a', '99bb', 'lp', 'inactive', 'warning', '80.0', '95.0', '96.5', "
        "'2026-03-18 20:30:00.000000', '2026-03-18 20:31:00.000000', 2, '{}', 'Gate A', 'LAF')",
    ),
    "0006": (
        "INSERT INTO attempts (delivery_id, number, at, duration_s, status, error, answer) VALUES "
        f"('{DEAD}', 15, '2026-03-21 21:00:00.000000', 0.25, 500, 'HTTP 500', 'out of order')",
    ),
    "0007": (
        f"UPDATE transitions SET document = '{_DOCUMENT}' WHERE alert_id = '{ALERT}'",
        f"UPDATE deliveries SET content_type = 'application/json' WHERE id = '{DEAD}'",
    ),
}


def rows_until(revision: str) -> Iterator[str]:
    """The statements that fill a database of this revision."""
    for known, statements in ROWS.items():
        if known <= revision:
            yield from statements
