"""The monitor hub: talks to meters, databases and people."""
