"""The Python packages that this one needs, and what to do where they are absent."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

#: module -> distribution of pip, as in pyproject.toml
REQUIREMENTS = {
    'cv2': 'opencv-python-headless', 'numpy': 'numpy', 'openvino': 'openvino', 'PIL': 'pillow',
    'safetensors': 'safetensors', 'simplejpeg': 'simplejpeg', 'torch': 'torch', 'tqdm': 'tqdm'}
#: Those of which pip has wheels only for these processors. Elsewhere the package does without.
WITH_WHEELS, WHEEL_MACHINES = {'openvino', 'simplejpeg'}, {'x86_64', 'aarch64'}


def is_importable(name: str) -> bool:
    """Tell whether a module is there, without importing more than its parents."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def absent_requirements() -> list[str]:
    """Return the distributions that this interpreter lacks."""
    spared = set() if platform.machine() in WHEEL_MACHINES else WITH_WHEELS
    return [distribution for module, distribution in REQUIREMENTS.items()
            if distribution not in spared and not is_importable(module)]


def explain_absence(error: ImportError) -> str:
    """Say what to do about a package that cannot be imported, or '' if it is not required."""
    distribution = REQUIREMENTS.get((error.name or '').partition('.')[0])
    if distribution is None:
        return ''
    absent = absent_requirements()
    if distribution not in absent:
        return (f'{distribution} is installed in {sys.executable} and cannot be imported: install '
                'it again by pip, or what it says is absent')
    return (f'{sys.executable} has no {", ".join(absent)}: activate the virtual '
            'environment of the workspace, or install by pip what is absent')


@contextmanager
def requirements_explained(program: str) -> Iterator[None]:
    """End a program in one sentence, with exit code 1, if a required package cannot be imported.

    Args:
        program: Its name.
    """
    try:
        yield
    except ImportError as error:
        if not (explanation := explain_absence(error)):
            raise
        print(f'{program}: {error}; {explanation}', file=sys.stderr)
        sys.exit(1)
