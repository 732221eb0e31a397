"""A browser, a page on an origin of its own, and a running academy with either store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from deploy.bucket import prepare_bucket
from tests.browser import cinema as cinemas
from tests.browser.chromium import Player, running_chromium, serving_page, what_is_missing
from tests.browser.cinema import Cinema, Learner
from tests.e2e.academy import OnlineAcademy
from tests.factories.media import make_clip
from tests.faults.stand import running_stand

LOCAL = {"S3_BUCKET": "", "S3_ENDPOINT_URL": "", "S3_ACCESS_KEY": "", "S3_SECRET_KEY": ""}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    missing = what_is_missing()
    if missing is not None:
        pytest.fail(missing, pytrace=False)
    with running_chromium() as driver:
        yield driver


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, seconds=cinemas.CLIP_SECONDS, size=cinemas.CLIP_SIZE)


@pytest.fixture(scope="session")
def page_port(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving_page(tmp_path_factory.mktemp("page"), clip) as port:
        yield port


@pytest.fixture(scope="session")
def page_origin(page_port: int) -> str:
    """The origin that the bucket's rule names."""
    return f"http://127.0.0.1:{page_port}"


@pytest.fixture(scope="session", params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def cinema(chromium: Chrome, store: str, page_origin: str, clip: Path) -> Iterator[Cinema]:
    folder = Path(tempfile.mkdtemp(prefix="lms-browser-"))
    settings = {**LOCAL, "STORAGE_PATH": str(folder / "storage")} if store == "local" else {}
    try:
        with running_stand(
            folder, media_workers=1, api_workers=1, other_settings=settings
        ) as stand:
            if store == "s3":
                prepare_bucket(stand.settings, [page_origin])
            academy = OnlineAcademy(stand, stand.make_organization("cinema"), "cinema")
            page = Player(chromium, page_origin)
            yield cinemas.open_cinema(academy, page, clip.stat().st_size)
            print(stand.logs())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def learner(cinema: Cinema) -> Learner:
    return cinemas.enroll(cinema)


@pytest.fixture
def links(learner: Learner) -> dict[str, Any]:
    """What the learner gets to play the video."""
    return learner.ask_playback()


@pytest.fixture
def player(chromium: Chrome, page_origin: str) -> Player:
    return Player(chromium, page_origin)


@pytest.fixture
def playing(player: Player, links: dict[str, Any]) -> Player:
    """hls.js, some way into the smallest rendition."""
    player.do("play(arguments[0])", links["master_url"])
    player.until("video.currentTime > 0.5")
    return player


@pytest.fixture
def open_elsewhere(chromium: Chrome, page_port: int) -> Callable[[], Player]:
    """Open the same page on an origin that the bucket's rule does not name."""
    return lambda: Player(chromium, f"http://localhost:{page_port}")
