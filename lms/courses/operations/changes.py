"""Applying a PATCH's members to a row, and telling the audit log what it was and is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tenants.base import TenantBase


def apply_changes(
    row: TenantBase, values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Set attributes of a row.

    Args:
        row: what is edited.
        values: attribute -> new value.

    Returns:
        JSON-ready state before and after, of the attributes that really changed.
    """
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, value in values.items():
        present = getattr(row, name)
        if present == value:
            continue
        before[name], after[name] = _plain(present), _plain(value)
        setattr(row, name, value)
    return before, after


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
