"""The two declarative bases: shared tables in schema `platform`, tenant tables in no schema.

Tenant tables are found through the transaction's search_path, so one set of models serves every
organization. What a role may do with a table is declared beside it in `info["grants"]`; the
default for tenant tables is all four statements, and tables that must never change say less.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from tenants.names import PLATFORM_SCHEMA

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

TYPES: dict[Any, Any] = {
    UUID: Uuid(),
    datetime: DateTime(timezone=True),
    str: Text(),
    int: BigInteger(),
    dict[str, Any]: JSONB(),
    list[Any]: JSONB(),
}

DEFAULT_TENANT_GRANTS = "SELECT, INSERT, UPDATE, DELETE"
INSERT_ONLY = {"grants": "SELECT, INSERT"}
"""`__table_args__` info for tables whose rows are never changed: held by grant, not by trigger."""


class PlatformBase(DeclarativeBase):
    """Base of the shared tables."""

    metadata = MetaData(schema=PLATFORM_SCHEMA, naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = TYPES


class TenantBase(DeclarativeBase):
    """Base of the tables that every organization has for itself."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = TYPES
