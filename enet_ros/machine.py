"""Facts about this machine, read without importing anything large and each asked only once."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

#: CU_DEVICE_ATTRIBUTE_... of the driver's cuda.h: COMPUTE_CAPABILITY_MAJOR and _MINOR, and
#: MULTIPROCESSOR_COUNT.
_GPU_ATTRIBUTES = (75, 76, 16)


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    That would tell Google Analytics of every import and conversion, keep a number of the user in
    ``~/intel``, and wait where a firewall drops its packets. OpenVINO goes on without it.
    """
    sys.modules.setdefault('openvino_telemetry', None)  # which makes its import fail
    import openvino
    return openvino


def read_text(path: str) -> str:
    """Return a file's text, or '' where the file cannot be read."""
    try:
        return Path(path).read_text(errors='replace')
    except OSError:
        return ''


# The processor


@lru_cache(maxsize=1)
def cpuinfo_text() -> str:
    """Return the text of /proc/cpuinfo, or '' on a system without that file."""
    return read_text('/proc/cpuinfo')


def processor_name(cpuinfo: str | None = None) -> str:
    """Return the name of the processor.

    Args:
        cpuinfo: The text of /proc/cpuinfo; this machine's by default.

    Returns:
        The name in that text, or '' where it holds none, as on some Arm boards.
    """
    cpuinfo = cpuinfo_text() if cpuinfo is None else cpuinfo
    match = re.search(r'^(?:model name|Model|Hardware)\s*:\s*(.+)$', cpuinfo, re.MULTILINE)
    return ' '.join(match[1].split()) if match else ''


def processor_flags(cpuinfo: str | None = None) -> frozenset[str]:
    """Return the flags of the first processor, such as 'avx512f'; see :func:`processor_name`."""
    cpuinfo = cpuinfo_text() if cpuinfo is None else cpuinfo
    match = re.search(r'^(?:flags|Features)\s*:(.*)$', cpuinfo, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def processor_features(cpuinfo: str | None = None) -> tuple[str, ...]:
    """Return the features that speed up half precision; see :func:`processor_name`."""
    flags = processor_flags(cpuinfo)
    names = {'avx512_bf16': 'AVX-512 bf16', 'amx_bf16': 'AMX bf16', 'bf16': 'bf16',
             'asimdhp': 'half-precision vectors'}
    return tuple(text for flag, text in names.items() if flag in flags)


def available_cores() -> tuple[int, ...]:
    """Return the numbers of the processor cores on which this process may run.

    The answer may change while the process runs (``taskset``), so it is not cached.
    """
    if hasattr(os, 'sched_getaffinity'):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


@lru_cache(maxsize=1)
def memory_gib() -> float:
    """Return the size of the machine's memory in GiB."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30


# The GPU


@dataclass(frozen=True)
class CudaDriver:
    """What the CUDA driver says.

    Attributes:
        version: The newest CUDA version that the driver supports, such as '12.6'; '' where no
            driver is installed.
        gpus: A description of each device, such as
            'Orin, compute capability 8.7, 16 multiprocessors'.
    """

    version: str = ''
    gpus: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def cuda_driver() -> CudaDriver:
    """Ask the CUDA driver for its version and its devices.

    The driver's library is called directly, which takes milliseconds; importing torch takes
    seconds.
    """
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return CudaDriver()
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    text = f'{version.value // 1000}.{version.value % 1000 // 10}'
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return CudaDriver(text)
    return CudaDriver(text, tuple(_describe_gpu(cuda, index) for index in range(count.value)))


def _describe_gpu(cuda: ctypes.CDLL, index: int) -> str:
    device, name, value = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_int(0)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    attributes = []
    for attribute in _GPU_ATTRIBUTES:
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        attributes.append(value.value)
    return '{}, compute capability {}.{}, {} multiprocessors'.format(
        name.value.decode(errors='replace'), *attributes)


def cuda_device_count() -> int:
    """Return the number of CUDA devices by the driver, without importing torch."""
    return len(cuda_driver().gpus)


@lru_cache(maxsize=1)
def torch_cuda_version() -> str:
    """Return the CUDA version for which torch was built, without importing torch.

    Returns:
        The version, such as '12.6'; '' where torch is absent or was built without CUDA.
    """
    spec = find_spec('torch')
    if spec is None or not spec.origin:
        return ''
    text = read_text(str(Path(spec.origin).parent / 'version.py'))
    match = re.search(r"^cuda\b.*=\s*'([\d.]+)'", text, re.MULTILINE)
    return match[1] if match else ''


# Packages


def package_version(package: str) -> str:
    """Return the version of an installed package without importing it, or ''."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ''


def how_to_install(extra: str) -> str:
    """Say how to install an extra of pyproject.toml; no package index has this project."""
    return (f'in the checkout run scripts/setup.sh {extra}, for another environment '
            f"pip install '.[{extra}]'")


# All of it


@dataclass(frozen=True)
class Machine:
    """The facts that a reader needs to compare figures of two machines.

    Attributes:
        processor: Its name.
        cores: Number of cores on which this process may run.
        features: What speeds up half precision; see :func:`processor_features`.
        memory_gib: Size of the memory, in GiB.
        cuda_devices: Number of GPUs by the driver.
        system: Operating system, kernel and architecture.
        python: Version of the interpreter.
        packages: Package name -> version, of those that are installed.
    """

    processor: str
    cores: int
    features: list[str]
    memory_gib: float
    cuda_devices: int
    system: str
    python: str
    packages: dict[str, str]

    def __str__(self) -> str:
        """Return the cores and the processor in a line."""
        features = f' ({", ".join(self.features)})' if self.features else ''
        return f'{self.cores} cores of {self.processor}{features}'


def describe_machine(*packages: str) -> Machine:
    """Collect the facts about this machine.

    Args:
        packages: Names of the packages whose versions are wanted.
    """
    versions = {name: package_version(name) for name in packages}
    return Machine(
        processor=processor_name() or platform.processor() or platform.machine(),
        cores=len(available_cores()), features=list(processor_features()),
        memory_gib=round(memory_gib(), 1), cuda_devices=cuda_device_count(),
        system=f'{platform.system()} {platform.release()}, {platform.machine()}',
        python=platform.python_version(),
        packages={name: version for name, version in versions.items() if version})
