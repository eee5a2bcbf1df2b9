"""The data types of alerting: samples, alerts, deliveries, durations. No I/O and no decisions."""
