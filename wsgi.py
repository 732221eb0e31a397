"""The WSGI entry: `granian --interface wsgi wsgi:app`, or any other server."""

from __future__ import annotations

import gc

from lms.app import create_app
from lms.config import Settings

app = create_app(Settings.from_environment())

# What stands now stands for good: the collector need not walk through it again and again, nor come
# by after every few hundred objects, as one list makes (docs/performance.md has the figures).
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 100)
