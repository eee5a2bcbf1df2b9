"""What a unit asks of its instrument, whatever its kind: the protocol, and the configuration all kinds share."""
