"""Modules that do not exist, for tests of code that imports them; and that seem not to exist."""

import os
import types
from importlib.machinery import ModuleSpec

#: Python imports a module of this name at its start.
SITECUSTOMIZE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition('.')[0] in {names!r} else find(name, path, target))
"""


def empty_module(name):
    """Make a module that importlib.util.find_spec, which torch asks, finds."""
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    return module


def hide_packages(folder, *names):
    """Return the environment of a child process in which these packages are absent."""
    (folder / 'sitecustomize.py').write_text(SITECUSTOMIZE.format(names=names))
    return {**os.environ, 'PYTHONPATH': f'{folder}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'}
