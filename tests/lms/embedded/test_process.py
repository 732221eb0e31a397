from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from lms.embedded import launch
from lms.embedded.process import (
    EmbeddedError,
    account_for,
    explain,
    free_port,
    package_folder,
    spawn,
    tail,
)


@pytest.mark.parametrize(
    ("last_words", "advice"),
    [
        ("x: error while loading shared libraries: libz.so.1: cannot open", "libz.so.1 is missing"),
        ("could not write to file: No space left on device", "disk is full"),
        ("database files are incompatible with server", "another version"),
        ("initdb: could not look up effective user ID 12345: no", "user 12345 has no name"),
        ("[Errno 13] Permission denied: '/x/lock'", "belongs to another user"),
        ("FATAL: something new", "FATAL: something new"),
    ],
)
def test_last_words_of_a_server_become_advice(last_words: str, advice: str) -> None:
    assert advice in str(explain("PostgreSQL did not start", last_words))


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_a_missing_package_is_named() -> None:
    with pytest.raises(EmbeddedError, match="no_such_package_here is not installed"):
        package_folder("no_such_package_here")


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = spawn(
            ["/no/such/program"], death_signal=signal.SIGTERM, output=output, env={}, stdin=b"x"
        )
    assert process.wait(30) == launch.NOT_STARTED
    assert "cannot start /no/such/program" in tail(log)


def test_the_tail_of_a_long_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(10_000)))
    assert tail(log, 2) == "line 9998\nline 9999"


def test_an_ordinary_user_runs_servers_as_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid or 1000)
    assert account_for(tmp_path).uid == launch.KEEP


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_a_server_that_root_starts_may_run_programs_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    account = account_for(program)
    assert account.pass_locked_folders
    log = tmp_path / "log"
    # initdb looks for postgres by access(2), which asks for more than exec does.
    question = "import os, sys; sys.exit(0 if os.access(sys.argv[1], os.X_OK) else 1)"
    with log.open("wb") as output:
        process = spawn(
            [sys.executable, "-c", question, str(program)],
            death_signal=signal.SIGTERM,
            output=output,
            env=os.environ,
            account=account,
        )
        assert process.wait(timeout=30) == 0, log.read_text()
