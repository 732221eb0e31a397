"""Ground floor: what an organization is in the database."""
