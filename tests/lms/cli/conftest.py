from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from lms.cli import main
from tests.conftest import Servers

Run = Callable[..., Result]


@pytest.fixture
def run(servers: Servers) -> Run:
    """Run `lms` as an operator would; the addresses are the suite's own servers."""

    def invoke(*words: str, typed: str | None = None, **environment: str | None) -> Result:
        addresses = {
            "DATABASE_URL": servers.app_url,
            "DATABASE_ADMIN_URL": servers.admin_url,
            "SPARE_ORGANIZATIONS": "0",
        }
        return CliRunner().invoke(main, list(words), input=typed, env={**addresses, **environment})

    return invoke
