"""The Python packages that this one needs, and what to do where they are absent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

#: module -> distribution of pip, as in pyproject.toml
REQUIREMENTS = {
    'cv2': 'opencv-python-headless', 'numpy': 'numpy', 'openvino': 'openvino', 'PIL': 'pillow',
    'safetensors': 'safetensors', 'simplejpeg': 'simplejpeg', 'torch': 'torch', 'tqdm': 'tqdm'}


def is_importable(name: str) -> bool:
    """Tell whether a module is there, without importing more than its parents."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def absent_requirements() -> list[str]:
    """Return the distributions that this interpreter lacks."""
    return [distribution for module, distribution in REQUIREMENTS.items()
            if not is_importable(module)]


def explain_absence(error: ImportError) -> str:
    """Say what to do about a module that is absent, or '' if this package does not require it."""
    if (error.name or '').partition('.')[0] not in REQUIREMENTS:
        return ''
    return (f'{sys.executable} has no {", ".join(absent_requirements())}: activate the virtual '
            'environment of the workspace, or install by pip what is absent')


@contextmanager
def requirements_explained(program: str) -> Iterator[None]:
    """End a program in one sentence, with exit code 1, if an import in the block lacks a package.

    Args:
        program: Its name.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not (explanation := explain_absence(error)):
            raise
        print(f'{program}: {error}; {explanation}', file=sys.stderr)
        sys.exit(1)
