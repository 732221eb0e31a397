"""The `lms` command; `lms.cli.group` says where each of its commands is."""

from __future__ import annotations

from lms.cli.group import main

__all__ = ["main"]
