"""What a test needs and a machine may lack: a reason to skip, but a failure in CI."""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import NoReturn

import pytest


def in_ci() -> bool:
    """Tell whether CI runs the tests: ``.ci/run`` installs all that they need."""
    return os.environ.get('CI') == 'true'


def skip_or_fail(reason: str, *, fail: bool | None = None) -> NoReturn:
    """Skip the test or the module, or fail.

    Args:
        reason: What is absent, and how to install it.
        fail: Whether to fail; None fails in CI alone.
    """
    if in_ci() if fail is None else fail:
        pytest.fail(f'{reason} (CI=true: what cannot be had is a failure)', pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def import_or_skip(name: str, reason: str) -> ModuleType:
    """Import a module, or call :func:`skip_or_fail`. What fails within the module is raised."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
    skip_or_fail(reason)
