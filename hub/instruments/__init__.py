"""The interface of all kinds of instruments to units, and the configuration that all kinds share."""
