"""What a text of one line may be, wherever it comes from."""

from __future__ import annotations

import re

MAX_TITLE = 200
"""Characters of a title or name, unless its field says otherwise."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Also those that turn the direction of writing: a name or reason could read as another one."""
