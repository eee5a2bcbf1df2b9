"""The Rion NL-43/NL-53 sound level meter."""
