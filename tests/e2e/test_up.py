"""The one command: everything started for real, the main job done over HTTP, everything stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import ffmpeg
import httpx
import imageio_ffmpeg
import psutil
import pytest

from lms.sample.content import PASSWORD

START_SECONDS = 180


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def clip(data: Path) -> Path:
    path = data / "a clip with spaces.mp4"
    picture = ffmpeg.input("testsrc2=size=640x360:rate=25:duration=3", f="lavfi")
    sound = ffmpeg.input("sine=frequency=440:duration=3", f="lavfi")
    made = ffmpeg.output(picture, sound, str(path), vcodec="libx264", preset="ultrafast")
    made.run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), quiet=True)
    return path


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    named = ("DATABASE_", "REDIS_", "S3_", "STORAGE_", "SANDBOX_", "SECRET_", "SCRATCH_")
    return {name: value for name, value in os.environ.items() if not name.startswith(named)}


def free_ports() -> int:
    """Return a port that is free, as is the one after it (the sandbox provider's)."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with suppress(OSError, OverflowError):
                next_one.bind(("127.0.0.1", port + 1))
                return port


@pytest.fixture
def port() -> int:
    return free_ports()


def command(data: Path, port: int, *options: str) -> list[str]:
    program = str(Path(sys.executable).parent / "lms")
    return [program, "up", "--data", str(data / "var"), "--port", str(port), *options]


def once(data: Path, port: int, clip: Path, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        command(data, port, "--once", "--video", str(clip)),
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def processes_of(data: Path) -> list[str]:
    """Programs that run with this data folder, by what they have in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(data) in process.environ().get("SCRATCH_PATH", "") or any(
                str(data) in word for word in process.cmdline()
            ):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(scope="module")
def first(data: Path, clip: Path, environment: dict[str, str]) -> dict[str, Any]:
    return once(data, free_ports(), clip, environment)


def test_a_learner_completes_a_paid_course(first: dict[str, Any]) -> None:
    assert first["enrollment"] == {"state": "completed", "percent": 100}
    assert first["wallet"]["before"]["amount"] - first["wallet"]["after"]["amount"] == 14_900


def test_the_video_became_renditions_that_decode(first: dict[str, Any]) -> None:
    assert [(one["label"], one["width"], one["height"]) for one in first["renditions"]] == [
        ("360p", 640, 360)
    ]
    assert all(one["bytes"] > 0 and one["bandwidth"] > 0 for one in first["renditions"])


def test_the_other_organization_saw_none_of_it(first: dict[str, Any]) -> None:
    answers = first["globex_answers"]
    assert set(answers["acme_token"]) == {"401"}
    assert set(answers["globex_admin"]) == {"404"}


def test_nothing_is_left_running_afterwards(
    first: dict[str, Any], data: Path, port: int, clip: Path, environment: dict[str, str]
) -> None:
    assert first
    once(data, port, clip, environment)
    assert processes_of(data) == []


def test_a_second_run_repeats_nothing(
    first: dict[str, Any], data: Path, port: int, clip: Path, environment: dict[str, str]
) -> None:
    again = once(data, port, clip, environment)
    assert again["course"]["run_id"] == first["course"]["run_id"]
    assert again["wallet"] == first["wallet"]


@pytest.fixture
def serving(
    first: dict[str, Any], data: Path, port: int, clip: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    assert first
    process = subprocess.Popen(
        command(data, port, "--video", str(clip)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C stops everything" in line:
            break
    else:
        pytest.fail("it ended: " + "".join(lines)[-2000:])
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    process.stdout.close()


def call(port: int, host: str, path: str, token: str | None = None, body: Any = None) -> Any:
    headers = {"Host": f"{host}.localhost:{port}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    method = "GET" if body is None else "POST"
    return httpx.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, json=body)


def test_it_serves_what_was_made_once_until_ctrl_c_and_then_leaves_nothing_behind(
    serving: subprocess.Popen[str], data: Path, port: int
) -> None:
    for host in ("acme", "admin"):
        assert call(port, host, "/docs").status_code == 200
    admin = {"email": "dana.weiss@acme.example", "password": PASSWORD}
    token = call(port, "acme", "/api/v1/auth/login", body=admin).json()["access_token"]
    for path, made in (("users", 4), ("runs", 1), ("payments", 1)):
        items = call(port, "acme", f"/api/v1/{path}", token).json()["items"]
        assert len(items) == made, path
    serving.send_signal(signal.SIGINT)
    assert serving.wait(timeout=60) == 0
    assert processes_of(data) == []


def test_killed_outright_it_leaves_nothing_behind(
    serving: subprocess.Popen[str], data: Path
) -> None:
    serving.kill()
    serving.wait()
    deadline = time.monotonic() + 60
    while processes_of(data) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_of(data) == []


def test_a_dead_redis_and_postgresql_are_started_again(
    serving: subprocess.Popen[str], data: Path, port: int
) -> None:
    for process in psutil.Process(serving.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # backends end with their postmaster
            words = process.cmdline()
            if "redis-server" in " ".join(words) or (
                "/bin/postgres" in " ".join(words) and "-D" in words
            ):
                process.kill()
    deadline = time.monotonic() + 60
    while (ready := call(port, "acme", "/readyz")).status_code != 200:
        assert time.monotonic() < deadline, ready.text
        time.sleep(0.2)


def test_a_file_that_is_no_video_is_refused_in_the_products_words(
    first: dict[str, Any], data: Path, port: int, environment: dict[str, str]
) -> None:
    assert first
    notes = data / "notes file.txt"
    notes.write_text("Shopping list\n" * 50)
    done = subprocess.run(
        command(data, port, "--once", "--video", str(notes)),
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "Files of this kind cannot be used in lessons" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_plain_message(data: Path, environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(data, port), env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode != 0
    assert f"Port {port} on 127.0.0.1 is already in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(data) == []
