"""Which WSGI server carries the API best: granian and gunicorn, in several settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median

from rich.progress import Progress

from bench.load import Round, require_wrk, serving
from bench.report import Context, Report
from bench.requests import measure_rounds
from bench.stage import Stage, set_up
from bench.target import binary, make_tenants, production_command

PRODUCTION = "granian 2x4, as in production"
OPERATIONS = ("courses", "progress")
ORGANIZATIONS = 50


def run(context: Context) -> Report:
    """Measure every setting; rounds alternate between them."""
    require_wrk()
    rounds, seconds = (2, 2) if context.quick else (5, 4)
    report = Report(
        title=f"WSGI servers, {ORGANIZATIONS} organizations",
        columns=[
            *("server", "operation", "req/s", "of the best", "p50 ms", "p99 ms"),
            *("CPU web ms", "CPU PostgreSQL ms", "memory MiB", "errors"),
        ],
    )
    with set_up(context) as stage:
        results, memory = _measure(context, stage, rounds, seconds)
    best = {
        name: max(median(one.rps for one in of[name]) for of in results.values())
        for name in OPERATIONS
    }
    for server, of in results.items():
        for name in OPERATIONS:
            figures = {
                field: median(getattr(one, field) for one in of[name])
                for field in ("rps", "p50_ms", "p99_ms", "web_ms", "postgres_ms")
            }
            share = figures["rps"] / best[name]
            errors = sum(one.errors for one in of[name])
            report.rows.append(
                [server, name, figures.pop("rps"), share, *figures.values(), memory[server], errors]
            )
    shares = ", ".join(f"{_share(results, best, name):.2f} ({name})" for name in OPERATIONS)
    report.notes += [
        f"The fastest over both operations: {_winner(results, best)}.",
        f"The production's own setting reaches {shares} of the best.",
    ]
    report.details = {
        server: {name: [asdict(one) for one in of[name]] for name in OPERATIONS}
        for server, of in results.items()
    }
    return report


def commands() -> dict[str, list[str]]:
    """Return every setting by its name: workers x threads."""
    return {
        PRODUCTION: production_command("$PORT"),
        **{f"granian {size}": _granian(size) for size in ("1x4", "2x1", "2x2")},
        "gunicorn sync 2x1": _gunicorn("2x1", "sync"),
        **{
            f"gunicorn gthread {size}": _gunicorn(size, "gthread") for size in ("1x4", "2x2", "2x4")
        },
    }


def _granian(size: str) -> list[str]:
    workers, threads = size.split("x")
    return [
        *(binary("granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", "$PORT"),
        *("--workers", workers, "--blocking-threads", threads, "--no-ws", "wsgi:app"),
    ]


def _gunicorn(size: str, kind: str) -> list[str]:
    workers, threads = size.split("x")
    return [
        *(binary("gunicorn"), "wsgi:app", "--bind", "127.0.0.1:$PORT", "--no-control-socket"),
        *("--worker-class", kind, "--workers", workers, "--threads", threads),
        *("--keep-alive", "75"),
    ]


def _measure(
    context: Context, stage: Stage, rounds: int, seconds: int
) -> tuple[dict[str, dict[str, list[Round]]], dict[str, float]]:
    """Return each setting's rounds by operation, and the memory of its processes in MiB."""
    tenants = make_tenants(stage.seed)[:ORGANIZATIONS]
    results: dict[str, dict[str, list[Round]]] = {}
    memory: dict[str, float] = {}
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console=context.console, transient=True))
        settings = commands()
        task = progress.add_task("", total=len(settings) * len(OPERATIONS) * (rounds + 1))
        servers = {
            name: stack.enter_context(
                serving(
                    name.replace(" ", "-"),
                    command,
                    # All settings stand at once, so their pools are no larger than they need.
                    {**stage.environment, "DATABASE_POOL_SIZE": "4"},
                    postmaster=stage.postmaster,
                    logs=stage.home,
                )
            )
            for name, command in settings.items()
        }
        for operation in OPERATIONS:
            for number in range(rounds + 1):
                for name in list(servers)[:: 1 if number % 2 else -1]:
                    progress.update(task, description=f"{operation}: {name}")
                    done = measure_rounds(servers[name], stage, operation, tenants, seconds)
                    if number:  # the first round warms up
                        results.setdefault(name, {}).setdefault(operation, []).append(done)
                    progress.advance(task)
        memory = {name: server.memory() for name, server in servers.items()}
    return {name: results[name] for name in settings}, memory


def _share(
    results: Mapping[str, Mapping[str, list[Round]]], best: Mapping[str, float], name: str
) -> float:
    return median(one.rps for one in results[PRODUCTION][name]) / best[name]


def _winner(results: Mapping[str, Mapping[str, list[Round]]], best: Mapping[str, float]) -> str:
    return max(
        results,
        key=lambda server: sum(
            median(one.rps for one in results[server][name]) / best[name] for name in OPERATIONS
        ),
    )
