"""Rules, receivers and schedules as they are configured: frozen and checked."""
