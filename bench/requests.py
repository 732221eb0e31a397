"""Requests per second of four operations at 1, 50 and 300 organizations, beside the comparison."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import Any

import httpx
from rich.progress import Progress

from bench import peer
from bench.check import Ask, check_answers
from bench.expansion import expand, total_of
from bench.load import Round, Server, play, require_wrk, serving
from bench.report import Cell, Context, Report, Target, UnmeasurableError
from bench.stage import Stage, set_up
from bench.target import OPERATIONS, make_tenants, production_command, write_target

COUNTS = (1, 50, 300)
PEERS = ("peer-sync", "peer-granian")
FLOOR = "floor-granian"
WARM_SECONDS = {1: 2, 50: 5, 300: 20}
WARM_QUICKLY = {1: 1, 50: 3, 300: 15}
"""Before each operation's rounds, by organizations: every connection has used every organization's
statements three times then. Until then, a server that has just started is measured."""
SPEED_TO_REACH = 2.0
SCALE_TO_REACH = 0.85


def run(context: Context) -> Report:
    """Measure; with a comparison, in its own harness beside its servers."""
    require_wrk()
    report = Report(
        title="Requests: ours, and beside the comparison",
        columns=[
            *(
                "operation",
                "orgs",
                "req/s",
                "p50 ms",
                "p99 ms",
                "CPU web ms",
                "CPU PG ms",
                "errors",
            ),
            *(
                "of 1 org",
                "better peer",
                "its req/s",
                "ours / peer",
                "its CPU / ours",
                "peer errors",
                "floor req/s",
            ),
        ],
    )
    with set_up(context) as stage:
        scaling = _measure_scaling(context, stage)
        beside = _measure_beside(context, stage) if context.peer is not None else {}
    report.details = {
        "scaling": {key: [asdict(one) for one in rounds] for key, rounds in scaling.items()},
        "beside": beside,
    }
    rounds = _by_target(beside)
    _require_good_peers(rounds)
    _judge(report, scaling, rounds)
    report.notes.append(
        "Ours in the first columns: rounds of the three counts of organizations alternate. Beside"
        " the peer: rounds of ours and its servers alternate in its own harness; ours / peer is the"
        " median of the rounds' ratios to the better one."
        if beside
        else "There is no comparison here: ours alone."
    )
    return report


def ask_over_http(url: str) -> Ask:
    """Return how `bench.check` asks a running server."""
    client = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def ask(method: str, path: str, *, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        answer = client.request(method, path, headers=dict(headers), json=body)
        return answer.status_code, answer.json()

    return ask


def measure_rounds(
    server: Server,
    stage: Stage,
    name: str,
    tenants: Sequence[Mapping[str, Any]],
    seconds: int,
) -> Round:
    """Play one round of an operation over some tenants, from a state without purchases."""
    operation = OPERATIONS[name]
    if operation.get("reset"):
        stage.forget_purchases(len(tenants))
    requests = expand(operation, tenants, total_of(operation, tenants))
    return play(server, requests, seconds, once="once_per" in operation)


def _measure_scaling(context: Context, stage: Stage) -> dict[str, list[Round]]:
    rounds, seconds = (2, 2) if context.quick else (5, 4)
    warm = WARM_QUICKLY if context.quick else WARM_SECONDS
    tenants = make_tenants(stage.seed)
    results: dict[str, list[Round]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(
            serving(
                "ours-alone",
                production_command("$PORT"),
                stage.environment,
                postmaster=stage.postmaster,
                logs=stage.home,
            )
        )
        stage.forget_purchases(len(tenants))
        check_answers(ask_over_http(server.url), [tenants[0], tenants[1], tenants[-1]])
        progress = stack.enter_context(Progress(console=context.console, transient=True))
        task = progress.add_task("", total=len(OPERATIONS) * (rounds + 1) * len(COUNTS))
        for name in OPERATIONS:
            for number in range(rounds + 1):
                for count in COUNTS if number % 2 else COUNTS[::-1]:
                    progress.update(task, description=f"ours: {name}, {count} organizations")
                    length = seconds if number else warm[count]  # the first round warms up
                    done = measure_rounds(server, stage, name, tenants[:count], length)
                    if number:
                        results.setdefault(f"{name} {count}", []).append(done)
                    progress.advance(task)
        stage.forget_purchases(len(tenants))
    return results


def _measure_beside(context: Context, stage: Stage) -> dict[str, Any]:
    """Run the comparison's own measurement over its servers, its floor and ours."""
    rounds, seconds = (2, 2) if context.quick else (5, 4)
    warm = WARM_QUICKLY if context.quick else WARM_SECONDS
    folder = peer.home(context)
    targets = [
        *(str(peer.folder(context) / "targets" / f"{name}.json") for name in (*PEERS, FLOOR)),
        str(write_target(stage, folder)),
    ]
    out = folder / "measured.json"
    measured: dict[str, list[Any]] = {"table": [], "memory": [], "rows": []}
    for count in COUNTS:
        arguments = [
            *("--targets", *targets, "--ops", *OPERATIONS, "--counts", str(count)),
            *("--rounds", str(rounds), "--seconds", str(seconds)),
            *("--warm", str(warm[count]), "--out", str(out)),
        ]
        out.unlink(missing_ok=True)
        _follow(context, arguments, total=len(OPERATIONS) * len(targets))
        if not out.exists():
            raise UnmeasurableError(f"The comparison did not finish; see {out.parent}.")
        found = json.loads(out.read_text(encoding="utf-8"))
        for kind, lines in measured.items():
            lines.extend(found[kind])
    return measured


def _follow(context: Context, arguments: list[str], *, total: int) -> None:
    log = peer.home(context) / "measure.log"
    with (
        Progress(console=context.console, transient=True) as progress,
        log.open("w", encoding="utf-8", buffering=1) as file,
        peer.measure(context, arguments) as process,
    ):
        task = progress.add_task("beside the comparison", total=total)
        for line in process.stdout or ():
            file.write(line)
            figure = re.match(r" *(\d+) (\w+) +(\S+) +[\d.]+ req/s", line)
            if figure is not None:
                done = f"{figure[2]}, {figure[1]} organizations: {figure[3]}"
                progress.update(task, advance=1, description=done)
    if process.returncode != 0:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
        raise UnmeasurableError(f"The comparison's measurement failed:\n{tail}")


def _by_target(beside: Mapping[str, Any]) -> dict[tuple[str, int, str], list[dict[str, Any]]]:
    """Sort the harness's rounds by operation, count and target."""
    sorted_: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in beside.get("rows", ()):
        sorted_.setdefault((row["op"], row["count"], row["target"]), []).append(row)
    return sorted_


def _require_good_peers(beside: Mapping[tuple[str, int, str], list[dict[str, Any]]]) -> None:
    """Make sure that the comparison did what it was asked for.

    Raises:
        UnmeasurableError: a peer answered with errors; a ratio to its speed would flatter us.
    """
    bad = [
        f"{name}, {count} organizations: {target} {errors}"
        for (name, count, target), rows in beside.items()
        if target in PEERS and (errors := _errors(rows))
    ]
    if bad:
        raise UnmeasurableError(f"The comparison answered with errors: {'; '.join(bad)}.")


def _judge(
    report: Report,
    scaling: Mapping[str, list[Round]],
    beside: Mapping[tuple[str, int, str], list[dict[str, Any]]],
) -> None:
    errors = 0
    for name in OPERATIONS:
        one = scaling[f"{name} {COUNTS[0]}"]
        for count in COUNTS:
            mine = scaling[f"{name} {count}"]
            scale = _ratio([r.rps for r in mine], [r.rps for r in one])
            errors += sum(r.errors for r in mine)
            errors += _errors(beside.get((name, count, "ours"), ()))
            compared = _compare(name, count, beside)
            report.rows.append([name, count, *_figures(mine), scale, *compared])
            if count == COUNTS[-1]:
                target = f"{name}: {count} organizations / 1, req/s"
                report.targets.append(Target(target, scale, SCALE_TO_REACH))
            if beside:
                target = f"{name}, {count} organizations: ours / better peer, req/s"
                report.targets.append(Target(target, float(compared[2] or 0), SPEED_TO_REACH))
    report.targets.append(Target("errors of ours", errors, 0, at_most=True))


def _figures(rounds: Sequence[Round]) -> list[Cell]:
    return [
        median(one.rps for one in rounds),
        median(one.p50_ms for one in rounds),
        median(one.p99_ms for one in rounds),
        median(one.web_ms for one in rounds),
        median(one.postgres_ms for one in rounds),
        sum(one.errors for one in rounds),
    ]


def _compare(
    name: str, count: int, beside: Mapping[tuple[str, int, str], list[dict[str, Any]]]
) -> list[Cell]:
    """Return the better peer, its req/s, our ratio to it, CPU's, both peers' errors, the floor."""
    if not beside:
        return [None] * 6
    speeds = {one: _speed(beside[name, count, one]) for one in PEERS}
    better = max(PEERS, key=lambda one: speeds[one])
    theirs, ours = beside[name, count, better], beside[name, count, "ours"]
    ratio = _ratio([row["rps"] for row in ours], [row["rps"] for row in theirs])
    cpu = _ratio([_cpu(row) for row in theirs], [_cpu(row) for row in ours])
    errors = sum(_errors(beside[name, count, one]) for one in PEERS)
    return [better, speeds[better], ratio, cpu, errors, _speed(beside[name, count, FLOOR])]


def _errors(rows: Iterable[Mapping[str, Any]]) -> int:
    return sum(row["errors"] for row in rows)


def _cpu(row: Mapping[str, Any]) -> float:
    """Return the CPU of a request, web and PostgreSQL together, in milliseconds."""
    return row["web_cpu_ms"] + row["pg_cpu_ms"]


def _speed(rows: Iterable[Mapping[str, Any]]) -> float:
    return median(row["rps"] for row in rows)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
