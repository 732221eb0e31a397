"""PostgreSQL and Redis from wheels, for machines where nothing is installed."""
