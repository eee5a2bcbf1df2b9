"""Units: one meter each, its live monitor, the background poller, and the fleet of all of them."""
