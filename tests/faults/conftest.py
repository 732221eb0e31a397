"""One stand for the short tests; long ones have their own."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import Faults
from tests.faults.stand import Stand


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lms-faults-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stand(shared_stand: Stand) -> Iterator[Stand]:
    """The shared stand; the processes' logs are shown if the test failed."""
    shared_stand.reconnect()
    yield shared_stand
    print(shared_stand.logs())


@pytest.fixture
def faults(stand: Stand) -> Iterator[Faults]:
    """Faults on the shared stand, healed afterwards."""
    faults = Faults(stand, random.Random(0))
    yield faults
    faults.heal()
