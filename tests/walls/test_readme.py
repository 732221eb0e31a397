"""What the documents say of settings and problems is what the code says."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

import pytest

from lms.checkout.reconcile import books, provider
from lms.config import Settings
from lms.core.errors import Kind
from lms.http.problems import STATUS
from lms.payments.providers.sandbox_tokens import OUTCOMES
from lms.sample import content
from tenants.roles import TAKE_FROM_PUBLIC

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTING = re.compile(
    r"^\| `(?P<name>[A-Z0-9_]+)` \| (?P<default>.+?) \| (?P<meaning>.+) \|$", re.MULTILINE
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def shown(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return "none" if field.default in (None, "") else f"`{field.default}`"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    listed = [(found["name"], found["default"]) for found in SETTING.finditer(README)]
    assert listed == [(field.name.upper(), shown(field)) for field in fields(Settings)]


def test_the_api_document_lists_every_kind_of_problem_with_its_status() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE))
    assert listed == {kind: str(int(STATUS[kind])) for kind in get_args(Kind)}


def test_the_api_document_lists_every_token_of_the_sandbox() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    section = text.partition("## The sandbox\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`tok_.+?`) \|", section, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(OUTCOMES)


def test_operations_take_from_public_what_a_superuser_owner_would() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"\n```sql\n{TAKE_FROM_PUBLIC}\\gexec\n" in text


def test_operations_say_what_every_finding_means() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text.partition("## Reconciliation\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    names = [*(check.name for check in books.CHECKS), *provider.CHECKS]
    assert sorted(listed) == sorted(names)


def test_the_first_calls_use_a_sample_account() -> None:
    students = {one.email for one in content.ACME.people if one.account_type == "student"}
    called = re.search(r'"email": "([^"]+)", "password": "([^"]+)"', README)
    assert called is not None
    assert called[1] in students
    assert called[2] == content.PASSWORD


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []
