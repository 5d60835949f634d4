"""The environment .venv-tensorrt, for tests of what a GPU would run."""

import subprocess
from pathlib import Path

import pytest
from support.absence import skip_or_fail

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path('scripts') / 'tensorrt_env.sh'
UNAVAILABLE, NOT_IN_REGISTRY = 3, 4  # exit codes of the script
SETUP_SEC = 300


def check_setup(returncode, output, **fail):
    """Skip where the environment cannot be had; in CI only what the registry lacks is excused."""
    if returncode == NOT_IN_REGISTRY:
        pytest.skip(output.strip())
    if returncode == UNAVAILABLE:
        skip_or_fail(output.strip(), **fail)
    assert returncode == 0, output


def set_up_environment():
    """Make the environment or bring it up to date, or skip with the reason."""
    setup = subprocess.run([str(SCRIPT)], cwd=ROOT, text=True, timeout=SETUP_SEC,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check_setup(setup.returncode, setup.stdout)
