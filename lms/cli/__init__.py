"""The `lms` command. Modules add their commands to `main`; others join with `main.add_command`."""

from __future__ import annotations

from lms.cli import check, migrations, openapi, organizations, platform, processes
from lms.cli.group import main
from lms.up import up

__all__ = ["main"]

COMMANDS = (migrations, organizations, platform, processes, openapi, check)
"""Imported for the commands that they add."""

main.add_command(up)
