"""`lms platform`: super-admins."""

from __future__ import annotations

import sys

import click

from lms.cli.group import main, platform_session
from lms.platform.accounts import ensure_admin


@main.group()
def platform() -> None:
    """Super-admins of the platform."""


@platform.command("create-admin")
@click.option("--email", required=True, help="With which they sign in on the platform host.")
@click.option("--name", required=True, help="As people write it.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_admin(email: str, name: str, password_stdin: bool) -> None:
    """Make a super-admin.

    Asks for the password, at least 12 characters. An account that exists stays as it is.
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with platform_session() as session:
        made = ensure_admin(session, email=email, name=name, password=password)
    if made:
        click.echo(f"Made the super-admin {email}.")
    else:
        click.echo(f"The super-admin {email} exists already; nothing was changed.")
