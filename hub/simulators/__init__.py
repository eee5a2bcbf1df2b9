"""Simulators for the demo, the tests and the benches: instruments, a webhook receiver, and an Oracle database."""
