"""Decides which rule matches which subject, and when its alert fires, clears or is acknowledged."""
