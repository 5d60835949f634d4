"""Modules that do not exist, for tests of code that imports them."""

import types
from importlib.machinery import ModuleSpec


def empty_module(name):
    """Make a module that importlib.util.find_spec, which torch asks, finds."""
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    return module
