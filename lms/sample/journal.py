"""What the walk has already done, so that a second run repeats nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Journal:
    """A JSON file of named outcomes, written after each of them.

    Args:
        path: the file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, object] = (
            json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        )

    def get(self, name: str) -> object | None:
        """Return what was noted under this name, or None."""
        return self._outcomes.get(name)

    def note(self, name: str, outcome: object) -> None:
        """Write an outcome down, over an earlier one."""
        self._outcomes[name] = outcome
        self._save()

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return the outcome of this name, making it if it was never made.

        Args:
            name: stable over runs.
            make: returns something that JSON can hold.
        """
        if name not in self._outcomes:
            self.note(name, make())
        return self._outcomes[name]  # pyright: ignore[reportReturnType] - written by the same maker

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._outcomes, indent=1), encoding="utf-8")
        draft.replace(self._path)
