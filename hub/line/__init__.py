"""Instruments that send or answer lines of text over TCP: thermometers, wind sensors, loggers."""
