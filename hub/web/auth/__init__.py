"""Who may call a route, and for how long."""
