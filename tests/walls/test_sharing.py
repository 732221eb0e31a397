"""Which links pages of other origins may use: the signed ones, and nothing else."""

from __future__ import annotations

from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule, UUIDConverter

from lms.core.ids import new_id

PAGE = {"Origin": "https://play.example"}
ACME = "http://acme.localhost"
SIGNED = {
    "/api/v1/files/<token>",
    "/api/v1/playback/<token>/master.m3u8",
    "/api/v1/playback/<token>/<label>.m3u8",
    "/api/v1/playback/<token>/thumbnails.vtt",
    "/api/v1/playback/<token>/captions/<uuid:caption_id>.m3u8",
    "/api/v1/playback/<token>/captions/<uuid:caption_id>.vtt",
}


def address(rule: Rule) -> str:
    """Return some address of a rule."""
    values = {
        name: new_id() if isinstance(rule._converters[name], UUIDConverter) else "1"
        for name in rule.arguments
    }
    built = rule.build(values)
    assert built is not None
    return built[1]


def test_pages_of_other_origins_may_use_signed_links_and_nothing_else(
    app: Flask, client: FlaskClient
) -> None:
    rules = list(app.url_map.iter_rules())
    asked = {"Access-Control-Request-Method": "GET", **PAGE}
    shared = {
        rule.rule
        for rule in rules
        if "Access-Control-Allow-Origin"
        in client.options(address(rule), base_url=ACME, headers=asked).headers
    }
    assert len(rules) > 100
    assert shared == SIGNED


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/files/any", {"GET", "HEAD", "PUT", "OPTIONS"}),
        ("/playback/any/master.m3u8", {"GET", "HEAD", "OPTIONS"}),
        ("/playback/any/720p.m3u8", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_preflight_allows_what_the_link_can_answer(
    client: FlaskClient, acme: UUID, path: str, methods: set[str]
) -> None:
    del acme
    asked = {"Access-Control-Request-Headers": "range", "Access-Control-Request-Method": "GET"}
    answer = client.options(f"/api/v1{path}", base_url=ACME, headers={**PAGE, **asked})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == methods
    assert "Range" in answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/files/any", "/playback/any/master.m3u8"])
def test_a_page_reads_why_its_link_is_refused(client: FlaskClient, acme: UUID, path: str) -> None:
    del acme
    answer = client.get(f"/api/v1{path}", base_url=ACME, headers=PAGE)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
