"""``enet-ros doctor``: what this machine has, what will run the network, what is missing."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from enet_ros.machine import package_version, processor_features, processor_name, read_text

DESCRIPTION = """Print what this machine has, what will run the network and why, and what to
install where it falls short. The exit code is 0 if all that was asked for works, else 1.

example:
  enet-ros doctor          # the processor and ROS 2
  enet-ros doctor --gpu    # and TensorRT on a GPU"""

OLDEST_TORCH_TENSORRT = (2, 8)
BUILD_MB = 1500  # free memory below which a build may run out of it; a guess, never measured
JETSON_INDEX = 'https://pypi.jetson-ai-lab.io/jp6/cu126'
PROBE_TIMEOUT_SEC = 180.0

#: Run in a process of its own: a library that does not fit its driver may crash.
PROBE = """
import json, sys
found = {}
try:
    import torch
    found['torch_sees_gpu'] = torch.cuda.is_available()
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found.update(free_mb=free >> 20, total_mb=total >> 20)
    import tensorrt
    found['tensorrt'] = tensorrt.__version__
    import torch_tensorrt
    found['torch_tensorrt'] = torch_tensorrt.__version__
    found['tensorrt_works'] = True
except Exception as error:
    found['problem'] = f'{type(error).__name__}: {error}'
print('FOUND ' + json.dumps(found))
"""


@dataclass(frozen=True)
class Findings:
    """What a machine has; a version is '' where there is none.

    Attributes:
        processor, features: its name, and what of bf16 and AMX it has.
        openvino, torch, torch_cuda, tensorrt, torch_tensorrt: versions.
        bfloat16: whether OpenVINO runs bfloat16 on this processor.
        distribution: of ROS 2.
        ros: name -> whether the Python package is there.
        l4t, jetpack: versions of a Jetson's system.
        driver_cuda: the newest CUDA that the driver knows.
        gpus: a line for each GPU, by the driver.
        torch_sees_gpu: whether torch can use it; only known where the GPU was looked at.
        free_mb, total_mb: memory of the first GPU in MiB, 0 if not known.
        problem: why torch or torch_tensorrt cannot be imported.
        tensorrt_works: whether tensorrt and torch_tensorrt can be imported.
        gpu_asked: whether the GPU was looked at.
    """

    python: str = ''
    machine: str = ''
    processor: str = ''
    features: tuple[str, ...] = ()
    openvino: str = ''
    bfloat16: bool = False
    torch: str = ''
    distribution: str = ''
    ros: dict[str, bool] = field(default_factory=dict)
    l4t: str = ''
    jetpack: str = ''
    driver_cuda: str = ''
    gpus: tuple[str, ...] = ()
    torch_cuda: str = ''
    torch_sees_gpu: bool = False
    tensorrt: str = ''
    torch_tensorrt: str = ''
    tensorrt_works: bool = False
    free_mb: int = 0
    total_mb: int = 0
    problem: str = ''
    gpu_asked: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--gpu', action='store_true', help='look at the GPU and TensorRT as well')


def run(args: argparse.Namespace) -> int:
    """Print the findings; returns 1 if something that was asked for is missing."""
    findings = gather(args.gpu)
    missing = shortfalls(findings)
    print('\n'.join(report(findings, missing)))
    return 1 if missing else 0


# What follows from the findings


def version_tuple(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: '2.8.0a0+cu126' is (2, 8, 0)."""
    return tuple(int(number) for number in re.findall(r'\d+', version.partition('+')[0])[:3])


def choice(findings: Findings) -> str:
    """Say which backend and precision ``auto`` picks, and why; as backends do, by findings."""
    if _torch_takes_gpu(findings):
        untried = '' if findings.gpu_asked else '; not tried, --gpu does'
        if findings.tensorrt_works or not findings.gpu_asked and findings.torch_tensorrt:
            return f'tensorrt, float16: there are a CUDA device and torch_tensorrt{untried}'
        return ('torch, float16, on the GPU: there is a CUDA device, and no torch_tensorrt'
                f'{untried}')
    return _choice_on_processor(findings) + (
        f'; torch {findings.torch} does not see the CUDA device'
        if findings.gpus and findings.torch else '')


def _torch_takes_gpu(findings: Findings) -> bool:
    """Tell whether torch uses a GPU; by what it was built for, unless it was tried."""
    sees = findings.torch_sees_gpu if findings.gpu_asked else findings.torch_cuda
    return bool(findings.gpus and sees)


def _choice_on_processor(findings: Findings) -> str:
    if findings.openvino:
        if findings.bfloat16:
            return 'openvino, bfloat16: the fastest on a processor that has bfloat16'
        return 'openvino, float32: the fastest on a processor, which has no bfloat16 itself'
    if findings.torch:
        return 'torch, float32, on the processor: OpenVINO is not installed'
    return 'nothing: neither OpenVINO nor torch is installed'


def shortfalls(findings: Findings) -> list[str]:
    """Return what falls short, each with what to do about it."""
    missing = []
    if not findings.torch:
        missing.append('torch is not installed, and every backend needs it once to read the '
                       f'network: {_install_torch(findings)}')
    elif not (findings.openvino or findings.gpu_asked or _torch_takes_gpu(findings)):
        missing.append('OpenVINO is not installed, and torch alone takes twice as long: '
                       'pip install openvino')
    if not findings.ros.get('rclpy'):
        missing.append('rclpy is not importable: source /opt/ros/<distribution>/setup.bash, or on '
                       'a bare machine run make setup and source scripts/ros_env.sh')
    elif not findings.ros.get('enet_ros.msg'):
        missing.append("the package's messages are not built: run colcon build and source "
                       'install/setup.bash, or make setup and scripts/ros_env.sh')
    return missing + (_gpu_shortfalls(findings) if findings.gpu_asked else [])


def _gpu_shortfalls(findings: Findings) -> list[str]:
    """Return the first thing between this machine and TensorRT; the later ones follow from it."""
    if not findings.driver_cuda:
        return ['no CUDA driver (libcuda.so.1): on a PC install the NVIDIA driver, on a Jetson '
                'JetPack 6; start a container with --gpus all, on a Jetson with --runtime nvidia']
    if not findings.gpus:
        return ['the CUDA driver is there and finds no GPU: start a container with --gpus all, on '
                'a Jetson with --runtime nvidia; else see dmesg']
    if not findings.torch:
        return []
    if not findings.torch_sees_gpu:
        built = (f'is built for CUDA {findings.torch_cuda}, the driver knows '
                 f'{findings.driver_cuda}' if findings.torch_cuda else 'is built without CUDA')
        return [f'torch {findings.torch} {built}: {_install_torch(findings)}']
    return _tensorrt_shortfalls(findings)


def _tensorrt_shortfalls(findings: Findings) -> list[str]:
    install = _install_torch_tensorrt(findings)
    if not findings.torch_tensorrt:
        return [f'torch_tensorrt is not installed: {install}']
    version = version_tuple(findings.torch_tensorrt)[:2]
    if version != version_tuple(findings.torch)[:2]:
        return [f'torch_tensorrt {findings.torch_tensorrt} is made for another torch than '
                f'{findings.torch}: {install}']
    if version < OLDEST_TORCH_TENSORRT:
        return [f'torch_tensorrt is {findings.torch_tensorrt}, wanted 2.8 or newer: update torch '
                'and torch_tensorrt together']
    if not findings.tensorrt_works:
        return [f'torch_tensorrt cannot be imported ({findings.problem}): {install}']
    return []


def _install_torch(findings: Findings) -> str:
    if findings.l4t:
        return f'pip install torch==2.8.0 --index-url {JETSON_INDEX}'
    if not findings.gpu_asked:
        return 'pip install torch --index-url https://download.pytorch.org/whl/cpu'
    if version_tuple(findings.torch_cuda) > version_tuple(findings.driver_cuda):
        return ('update the NVIDIA driver, or take a torch for that CUDA or an older one from '
                'https://download.pytorch.org/whl/')
    return "pip install --force-reinstall torch (PyPI's is built with CUDA)"


def _install_torch_tensorrt(findings: Findings) -> str:
    wanted = '.'.join(map(str, version_tuple(findings.torch)[:2]))
    if findings.l4t:
        return f'pip install torch-tensorrt=={wanted}.0 --no-deps --index-url {JETSON_INDEX}'
    return f"pip install 'torch-tensorrt=={wanted}.*'"


def report(findings: Findings, missing: list[str]) -> list[str]:
    """Return the lines to print."""
    lines = [f'{name:<16} {value}' for name, value in _rows(findings)]
    lines += ['', f'{"will be used":<16} {choice(findings)}']
    if findings.gpu_asked and findings.free_mb and findings.free_mb < BUILD_MB:
        lines.append(f'{"note":<16} {findings.free_mb} MiB are free; while an engine is built, '
                     'end what else uses the GPU')
    if not missing:
        return [*lines, f'{"falls short":<16} nothing']
    return [*lines, *(f'{"falls short":<16} {text}' for text in missing)]


def _rows(findings: Findings) -> list[tuple[str, str]]:
    absent = 'not found'
    rows = [
        ('machine', f'{findings.machine}, Python {findings.python}'),
        ('processor', ', '.join([findings.processor or 'unknown',
                                 *(findings.features or ('no bf16, no AMX',))])),
        ('OpenVINO', findings.openvino or absent),
        ('torch', findings.torch or absent),
        ('ROS 2', findings.distribution or absent),
        *((name, 'found' if there else absent) for name, there in findings.ros.items())]
    return rows + (_gpu_rows(findings, absent) if findings.gpu_asked else [])


def _gpu_rows(findings: Findings, absent: str) -> list[tuple[str, str]]:
    memory = (f'{findings.free_mb} of {findings.total_mb} MiB free' if findings.total_mb
              else 'not known')
    return [('L4T', findings.l4t or 'no Jetson'), ('JetPack', findings.jetpack or absent),
            ('CUDA driver', findings.driver_cuda or absent),
            ('CUDA of torch', findings.torch_cuda or absent),
            ('GPU', '; '.join(findings.gpus) or absent), ('GPU memory', memory),
            ('TensorRT', findings.tensorrt or absent),
            ('torch_tensorrt', findings.torch_tensorrt or absent)]


# Gathering


def gather(gpu: bool) -> Findings:
    """Look at this machine.

    Args:
        gpu: whether to look at the GPU too, which imports torch and torch_tensorrt elsewhere.
    """
    version, capabilities = _openvino()
    driver, gpus = _driver()
    known = {
        'python': platform.python_version(), 'machine': platform.machine(),
        'processor': processor_name(read_text('/proc/cpuinfo')),
        'features': processor_features(read_text('/proc/cpuinfo')), 'openvino': version,
        'bfloat16': 'BF16' in capabilities, 'torch': package_version('torch'),
        'driver_cuda': driver, 'gpus': gpus, 'torch_cuda': _torch_cuda(),
        'torch_tensorrt': package_version('torch_tensorrt'),
        'distribution': os.environ.get('ROS_DISTRO', ''),
        'ros': {name: _importable(name) for name in (
            'rclpy', 'enet_ros.msg', 'vision_msgs', 'cv_bridge', 'tf2_ros')}}
    return Findings(**(known | (_gpu() if gpu else {})))


def _gpu() -> dict:
    return {'gpu_asked': True, 'l4t': l4t_version(read_text('/etc/nv_tegra_release')),
            'jetpack': _output('dpkg-query', '-W', '-f', '${Version}', 'nvidia-jetpack'),
            'tensorrt': package_version('tensorrt'),
            **_probe()}


def l4t_version(release: str) -> str:
    """Read '36.4.3' from /etc/nv_tegra_release, '# R36 (release), REVISION: 4.3, ...'."""
    match = re.search(r'# R(\d+) .*?REVISION: ([\d.]+)', release)
    return f'{match[1]}.{match[2]}' if match else ''


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _openvino() -> tuple[str, list[str]]:
    try:
        import openvino
        capabilities = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        return openvino.__version__.partition('-')[0], capabilities
    except Exception:  # absent or broken comes to the same: it will not be used
        return '', []


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.strip() if done.returncode == 0 else ''


def _torch_cuda() -> str:
    """Return the CUDA version that torch was built for, without importing torch."""
    spec = find_spec('torch')
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    text = read_text(str(folder / 'version.py'))
    match = re.search(r"^cuda\b.*=\s*'([\d.]+)'", text, re.MULTILINE)
    return match[1] if match else ''


def _driver() -> tuple[str, tuple[str, ...]]:
    """Ask the driver for its CUDA version and the GPUs, (version, names)."""
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return '', ()
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    text = f'{version.value // 1000}.{version.value % 1000 // 10}'
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return text, ()
    return text, tuple(_gpu_name(cuda, i) for i in range(count.value))


def _gpu_name(cuda: ctypes.CDLL, index: int) -> str:
    """Return 'Orin, compute capability 8.7, 16 multiprocessors'."""
    device, name, value = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_int(0)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    attributes = []
    for attribute in (75, 76, 16):  # CU_DEVICE_ATTRIBUTE_..., cuda.h
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        attributes.append(value.value)
    return '{}, compute capability {}.{}, {} multiprocessors'.format(
        name.value.decode(errors='replace'), *attributes)


def _probe() -> dict:
    """Import torch, tensorrt and torch_tensorrt in a child; returns fields of Findings."""
    try:
        done = subprocess.run([sys.executable, '-c', PROBE], capture_output=True, text=True,
                              timeout=PROBE_TIMEOUT_SEC)
    except subprocess.TimeoutExpired:
        return {'problem': f'importing them took more than {PROBE_TIMEOUT_SEC:.0f} s'}
    found = [line for line in done.stdout.splitlines() if line.startswith('FOUND ')]
    if not found:
        return {'problem': f'importing them ended the process with {done.returncode}'}
    return json.loads(found[-1][len('FOUND '):])
