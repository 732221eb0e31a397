"""The WSGI entry: `granian --interface wsgi wsgi:app`, or any other server."""

from __future__ import annotations

from lms.app import create_app
from lms.config import Settings

app = create_app(Settings.from_environment())
