"""What alerting keeps in SQL, and how it reads it again."""
