"""Tests rules and receivers without a running hub."""
