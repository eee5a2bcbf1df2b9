"""Supervision, clocks, back-off, logs, file locks, and the memory and interpreter settings of the process."""
