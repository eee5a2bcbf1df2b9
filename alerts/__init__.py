"""Decides on alerts and delivers them; knows samples, never meters or machines."""
