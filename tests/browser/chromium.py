"""Chromium of Debian's package, driven by its own driver, and a page with a player in it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

HERE = Path(__file__).parent
HLS_JS = HERE / "node_modules" / "hls.js" / "dist" / "hls.min.js"
PATIENCE_SECONDS = 30.0
PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""Programs, and the Debian packages that bring them."""


def what_is_missing() -> str | None:
    """Return what to do before a browser can play; None when all is there."""
    packages = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if packages:
        install = f"apt-get install --no-install-recommends {' '.join(packages)}"
        return f"These tests need a browser. On Debian, as root: {install}"
    if not HLS_JS.exists():
        return "These tests need hls.js from npm: `make test-browser` installs it and runs them."
    return None


@contextmanager
def running_chromium() -> Iterator[webdriver.Chrome]:
    """Start a headless Chromium, and end it afterwards."""
    options = webdriver.ChromeOptions()
    # Both programs are named, so that Selenium looks for none to download.
    options.binary_location = str(shutil.which("chromium"))
    options.add_argument("--headless")
    options.add_argument("--mute-audio")
    options.add_argument("--disable-dev-shm-usage")
    # It opens our own page alone, and its sandbox refuses root and most containers.
    options.add_argument("--no-sandbox")
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving_page(folder: Path, clip: Path) -> Iterator[int]:
    """Serve the page with the player, and a clip that it can upload; yields the port.

    Args:
        folder: an empty one, for what is served.
        clip: a video.
    """
    served = {"index.html": HERE / "player.html", "hls.js": HLS_JS, "clip.mp4": clip}
    for name, path in served.items():
        (folder / name).symlink_to(path)
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="page")
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Player:
    """The page with the player, freshly loaded.

    Attributes:
        driver: the browser.
        origin: the page's.
    """

    driver: webdriver.Chrome
    origin: str

    def __post_init__(self) -> None:
        self.driver.get(f"{self.origin}/")

    def do(self, statement: str, *arguments: object) -> None:
        """Run a statement in the page; `arguments[0]` is the first argument."""
        self.driver.execute_script(statement, *arguments)

    def see(self, expression: str, *arguments: object) -> Any:
        """Return an expression's value; of a promise, what becomes of it."""
        return self.driver.execute_script(f"return {expression}", *arguments)

    def until(self, condition: str) -> None:
        """Wait until an expression is true.

        Raises:
            AssertionError: it is not in time; with what the player is at.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.see(condition):
            assert time.monotonic() < deadline, f"not so: {condition}; {self.state()}"
            time.sleep(0.1)

    def seek(self, second: int) -> None:
        """Go to a second, and wait until it plays on from there."""
        self.do("video.currentTime = arguments[0]", second)
        self.until(f"video.currentTime > {second} + 0.3 && video.currentTime < {second} + 5")

    def state(self) -> dict[str, Any]:
        """Return what the player is at."""
        return self.see(
            """({
                second: video.currentTime, paused: video.paused, ready: video.readyState,
                height: video.videoHeight, error: video.error?.message ?? null, errors,
            })"""
        )
