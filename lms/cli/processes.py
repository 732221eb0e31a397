"""`lms worker` and `lms dispatcher`: become those processes, by their modules' names."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from lms.cli.group import main


@main.command(short_help="Run a worker for the queue media or default.")
@click.argument("queue", type=click.Choice(["media", "default"]))
def worker(queue: str) -> None:
    """Run a worker that listens to one QUEUE: media (transcoding) or default (all else)."""
    _become("jobs.worker", queue)


@main.command(short_help="Run the dispatcher.")
def dispatcher() -> None:
    """Run the dispatcher, which hands due work to the workers; one per installation."""
    _become("jobs.dispatch")


def _become(module: str, *arguments: str) -> NoReturn:
    # Replacing this process hands on its id, signals and standard streams as they are.
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - our own
