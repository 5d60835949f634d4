"""What this machine is, read without importing anything large."""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from importlib import metadata
from pathlib import Path


def processor_name(cpuinfo: str) -> str:
    """Read the processor's name from the text of /proc/cpuinfo; '' where it has none."""
    match = re.search(r'^(?:model name|Model|Hardware)\s*:\s*(.+)$', cpuinfo, re.MULTILINE)
    return ' '.join(match[1].split()) if match else ''


def processor_flags(cpuinfo: str) -> frozenset[str]:
    """Read the first processor's flags, such as 'avx512f', from the text of /proc/cpuinfo."""
    match = re.search(r'^(?:flags|Features)\s*:(.*)$', cpuinfo, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def processor_features(cpuinfo: str) -> tuple[str, ...]:
    """Pick the features that matter to half precision from the text of /proc/cpuinfo."""
    flags = processor_flags(cpuinfo)
    names = {'avx512_bf16': 'AVX-512 bf16', 'amx_bf16': 'AMX bf16', 'bf16': 'bf16',
             'asimdhp': 'half-precision vectors'}
    return tuple(text for flag, text in names.items() if flag in flags)


def read_text(path: str) -> str:
    """Return a file's text, or '' where it cannot be read."""
    try:
        return Path(path).read_text(errors='replace')
    except OSError:
        return ''


@lru_cache(maxsize=1)
def cuda_device_count() -> int:
    """Count CUDA devices by asking the driver, without the seconds that importing torch takes."""
    try:
        driver = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def how_to_install(extra: str) -> str:
    """Say how to install an extra of pyproject.toml: no package index has this project."""
    return (f'in the checkout run scripts/setup.sh {extra}, for another environment '
            f"pip install '.[{extra}]'")


def package_version(package: str) -> str:
    """Return an installed package's version without importing it, or ''."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ''
