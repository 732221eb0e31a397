"""Refuses the ordinary way in: the tenant history is never run by Alembic.

`tenants.ddl` renders each revision once, and `tenants.migrator` executes it per organization.
"""

raise SystemExit("Tenant migrations run by `lms migrate`; see docs/operations.md.")
