"""Access to SQL: engines, sessions, transactions, the lock of the database, and the names of its failures."""
