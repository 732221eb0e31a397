"""What no code may do, wherever it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path for folder in ("lms", "tenants", "jobs") for path in sorted((ROOT / folder).rglob("*.py"))
]
SANDBOX = "lms/payments/providers/sandbox"
"""The sandbox provider is another company's server: its SQLite file is its own affair."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls_of(path: Path, name: str) -> list[int]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    ]


def names_called(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_the_sources_are_found() -> None:
    assert len(SOURCES) > 50


def test_only_the_session_module_commits() -> None:
    commits = {
        relative(path): lines
        for path in SOURCES
        if (lines := calls_of(path, "commit")) and not relative(path).startswith(SANDBOX)
    }
    assert list(commits) == ["tenants/session.py"]


def test_only_the_engines_module_creates_engines() -> None:
    makers = [relative(path) for path in SOURCES if "create_engine" in names_called(path)]
    assert makers == ["tenants/engines.py"]


def test_no_setting_outlives_its_transaction() -> None:
    session_level = re.compile(
        r"""["'\s;](SET\s+(?!LOCAL|CONSTRAINTS|search_path\s*=)(SESSION\s+)?"""
        r"""(search_path|role|statement_timeout|lock_timeout)\b|RESET\s|DISCARD\s)""",
        re.IGNORECASE,
    )
    found = [
        relative(path)
        for path in SOURCES
        if session_level.search(path.read_text(encoding="utf-8"))
        and not relative(path).startswith(SANDBOX)
    ]
    assert found == []


def test_every_set_config_is_local_to_its_transaction() -> None:
    call = re.compile(r"set_config\('[a-z_]+', :[a-z]+, (\w+)\)")
    flags = {flag for path in SOURCES for flag in call.findall(path.read_text(encoding="utf-8"))}
    assert flags == {"true"}


@pytest.mark.parametrize("folder", ["lms", "tenants"])
def test_nothing_below_the_top_floor_imports_jobs(folder: str) -> None:
    importing = re.compile(r"^\s*(from|import)\s+jobs\b", re.MULTILINE)
    found = [
        relative(path)
        for path in (ROOT / folder).rglob("*.py")
        if importing.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def texts_built_in_functions(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{relative(path)}:{node.lineno}"
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "text"
        and node.args
        and not isinstance(node.args[0], ast.Constant)
    ]


def test_no_sql_text_is_built_from_pieces_once_the_modules_are_loaded() -> None:
    assert [place for path in SOURCES for place in texts_built_in_functions(path)] == []
