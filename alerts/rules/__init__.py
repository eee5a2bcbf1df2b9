"""Decides: which rule is about which subject, and when its alert fires, clears or is acknowledged."""
