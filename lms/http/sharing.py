"""Signed links for pages of any origin, which players and uploaders live on.

The address is the secret and no credentials are involved, so every origin may use it. Everything
else of the API answers without these headers, so that browsers keep it from other origins.
"""

from __future__ import annotations

from flask import Response, request

from lms.http.blueprint import ApiBlueprint

SHARED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Disposition, Content-Length, "
    "Content-Range, ETag",
}
PREFLIGHT = {
    "Access-Control-Allow-Headers": "Content-Type, If-Match, If-None-Match, If-Range, Range",
    "Access-Control-Max-Age": "7200",
}


def share_with_any_origin(blueprint: ApiBlueprint, *, below: str) -> None:
    """Let pages of any origin call a blueprint's signed links, and read why one is refused.

    Args:
        blueprint: before it is registered.
        below: what the links' rules begin with, without the API's prefix: `/files/`.
    """
    rules = f"{blueprint.url_root}{below}"

    def share(response: Response) -> Response:
        # Refusals too: without the headers a player sees a broken network instead of a status.
        if request.url_rule is not None and request.url_rule.rule.startswith(rules):
            response.headers.update(SHARED)
            if request.method == "OPTIONS":
                response.headers.update(PREFLIGHT)
                response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
        return response

    blueprint.after_request(share)
