"""The one way to SQL: engines, sessions, transactions, and what their failures mean."""
