"""Stores alerts, transitions and deliveries in SQL, and reads them."""
