"""Suggestions for names that were typed wrongly."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(name: str, names: Iterable[str]) -> str:
    """Return the end of a message that suggests the nearest name, or '' if none is near.

    Args:
        name: The name that is not known.
        names: The names that are.
    """
    nearest = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean '{nearest[0]}'?" if nearest else ''
