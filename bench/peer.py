"""The comparison: a competing implementation with its own harness, in its own environment.

Nothing of it is imported here. It runs in a virtual environment below the benchmark's folder, from
the requirements that it pins itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.report import Context, UnmeasurableError

MEASURE = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import common, measure
# Our pool closes connections that have visited many organizations, so that PostgreSQL's CPU is read
# from the whole server: one target is under load at a time.
measure.pg_cpu = lambda _name: common.pg_cpu()
measure.main()
"""


def home(context: Context) -> Path:
    """Return the folder that the comparison takes for its own (its BENCH_HOME)."""
    return context.home / "peer"


def folder(context: Context) -> Path:
    """Return the comparison's folder.

    Raises:
        UnmeasurableError: there is none.
    """
    if context.peer is None:
        raise UnmeasurableError("There is no comparison here.")
    return context.peer


def start_postgres(context: Context) -> tuple[Path, Path]:
    """Install what the comparison needs, start its PostgreSQL and seed it when that is not done.

    Returns:
        The folder of the server's socket, and its data folder.
    """
    _install(context)
    run(context, ["harness/pg.py", "start"])
    data = home(context) / "pgdata"
    socket = Path((data / "postmaster.pid").read_text().splitlines()[4])
    done = home(context) / "seeded"
    tokens_only = ["--tokens-only"] if done.exists() else []
    with context.console.status("seed the comparison's tenants (a minute, the first time)"):
        run(context, ["harness/seed.py", "--tenants", "300", *tokens_only])
    done.touch()
    return socket, data


def stop_postgres(context: Context) -> None:
    """Stop the comparison's PostgreSQL."""
    run(context, ["harness/pg.py", "stop"])


def run(context: Context, arguments: list[str]) -> str:
    """Run one of the harness's scripts to its end.

    Args:
        context: where.
        arguments: of Python.

    Returns:
        What it printed.

    Raises:
        UnmeasurableError: it failed.
    """
    done = subprocess.run(
        [str(_python(context)), *arguments],
        cwd=folder(context),
        env=environment(context),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise UnmeasurableError(f"The comparison's {arguments[0]} failed:\n{tail}")
    return done.stdout


def measure(context: Context, arguments: list[str]) -> subprocess.Popen[str]:
    """Start the harness's `measure.py`; it prints a line per figure.

    Args:
        context: where.
        arguments: its own.
    """
    harness = str(folder(context) / "harness")
    return subprocess.Popen(
        [str(_python(context)), "-c", MEASURE, harness, *arguments],
        cwd=folder(context),
        env=environment(context),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def environment(context: Context) -> dict[str, str]:
    """Return the environment of everything that the harness starts."""
    binaries = _python(context).parent
    return {
        **os.environ,
        "BENCH_HOME": str(home(context)),
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
    }


def _python(context: Context) -> Path:
    return home(context) / "venv" / "bin" / "python"


def _install(context: Context) -> None:
    """Make its virtual environment, with psycopg's binary build: ours uses the same."""
    place = home(context)
    wanted = (folder(context) / "requirements.txt").read_text(encoding="utf-8")
    wanted = wanted.replace("psycopg-c==", "psycopg-binary==")
    kept = place / "requirements.txt"
    if kept.exists() and kept.read_text(encoding="utf-8") == wanted and _python(context).exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place / "venv", ignore_errors=True)
    with context.console.status("install the comparison into an environment of its own"):
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
        (place / "new.txt").write_text(wanted, encoding="utf-8")
        pip = [
            str(_python(context)),
            "-m",
            "pip",
            "install",
            "--quiet",
            "-r",
            str(place / "new.txt"),
        ]
        subprocess.run(pip, check=True)
    (place / "new.txt").rename(kept)
