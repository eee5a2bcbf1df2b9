"""The nouns of alerting: samples, alerts, deliveries, durations; nothing here decides or talks to anybody."""
