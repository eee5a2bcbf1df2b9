"""Brings deliveries to receivers: at least once, signed, each alert in order."""
