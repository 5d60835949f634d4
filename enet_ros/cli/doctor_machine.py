"""What ``enet-ros doctor`` finds out about a machine."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field

from enet_ros.backends.select import BackendSupport
from enet_ros.common.requirements import absent_requirements, is_importable
from enet_ros.machine import (
    cuda_driver,
    import_openvino,
    package_version,
    processor_features,
    processor_name,
    read_text,
    torch_cuda_version,
)

PROBE_TIMEOUT_SEC = 180.0
ORIN = (8, 7)  # compute capability, which no other GPU has
FIRST_L4T_OF_JETPACK_7 = (38,)

#: Run in a process of its own: a library that does not fit its driver may crash.
PROBE = """
import json, sys
found = {}
try:
    try:
        import torch
    except Exception as error:
        found['torch_problem'] = f'{type(error).__name__}: {error}'
        raise
    found['torch_sees_gpu'] = torch.cuda.is_available()
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found.update(free_mb=free >> 20, total_mb=total >> 20)
    from enet_ros.backends.tensorrt.supply import import_tensorrt
    torch_tensorrt, tensorrt, kind = import_tensorrt()
    found.update(tensorrt=tensorrt.__version__, torch_tensorrt=torch_tensorrt.__version__,
                 tensorrt_kind=kind, tensorrt_works=True)
except Exception as error:
    found['problem'] = f'{type(error).__name__}: {error}'
print('FOUND ' + json.dumps(found))
"""


def version_tuple(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: '2.8.0a0+cu126' is (2, 8, 0)."""
    return tuple(int(number) for number in re.findall(r'\d+', version.partition('+')[0])[:3])


def capability(gpu: str) -> tuple[int, int]:
    """Read (8, 9) from a line such as 'RTX 4090, compute capability 8.9, 128 multiprocessors'.

    Raises:
        ValueError: The line has no compute capability.
    """
    match = re.search(r'compute capability (\d+)\.(\d+)', gpu)
    if match is None:
        raise ValueError(f"the GPU is '{gpu}', wanted a line with its compute capability")
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class MachineReport:
    """What a machine has; a version is '' where there is none.

    Attributes:
        python, machine: Version of Python, and the architecture.
        processor, features: Name of the CPU, and what it has of bf16 and AMX.
        openvino, torch, torch_cuda, tensorrt, torch_tensorrt: Versions; ``torch_cuda`` is the
            CUDA that torch was built for.
        bfloat16: Whether OpenVINO computes in bfloat16 on this CPU.
        distribution: Name of the distribution of ROS 2.
        ros: Name of a Python package of ROS -> whether it is there.
        l4t, jetpack: Versions of a Jetson's system.
        driver_cuda: The newest CUDA that the driver knows.
        gpus: A line for each GPU, by the driver.
        torch_sees_gpu: Whether torch can use the GPU; known only where the GPU was looked at.
        tensorrt_kind: 'TensorRT' or 'TensorRT-RTX', by the installed distribution.
        tensorrt_works: Whether tensorrt and torch_tensorrt can be imported.
        free_mb, total_mb: Memory of the first GPU in MiB, 0 if not known.
        torch_problem: Why torch cannot be imported.
        problem: Why torch or torch_tensorrt cannot be imported.
        gpu_asked: Whether the GPU was looked at.
        absent: Distributions of pip that are required and absent, but torch and OpenVINO.
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
    tensorrt_kind: str = 'TensorRT'
    tensorrt_works: bool = False
    free_mb: int = 0
    total_mb: int = 0
    torch_problem: str = ''
    problem: str = ''
    gpu_asked: bool = False
    absent: tuple[str, ...] = ()

    def backend_support(self) -> BackendSupport:
        """Return what this machine has for the backends.

        Without a look at the GPU, torch and torch_tensorrt are judged by what they were built for.
        """
        sees = self.torch_sees_gpu if self.gpu_asked else bool(self.torch_cuda)
        works = self.tensorrt_works if self.gpu_asked else bool(self.torch_tensorrt)
        return BackendSupport(bool(self.gpus), works, bool(self.gpus and sees),
                              bool(self.openvino), bool(self.torch), self.bfloat16)

    def has_jetpack6(self) -> bool:
        """Say whether this is a Jetson Orin with JetPack 6 or older, whose torch is NVIDIA's own.

        JetPack 7 takes the same packages as other machines with an Arm CPU. In a container the
        file of L4T is absent or empty, so the GPU and its driver answer.
        """
        if self.l4t:
            return version_tuple(self.l4t) < FIRST_L4T_OF_JETPACK_7
        return (bool(self.gpus) and capability(self.gpus[0]) == ORIN
                and version_tuple(self.driver_cuda) < (13,))


def gather(*, gpu: bool) -> MachineReport:
    """Look at this machine.

    Args:
        gpu: Whether to look at the GPU too, which imports torch and torch_tensorrt elsewhere.
    """
    version, capabilities = _openvino()
    driver = cuda_driver()
    known = {
        'python': platform.python_version(), 'machine': platform.machine(),
        'processor': processor_name(),
        'features': processor_features(), 'openvino': version,
        'bfloat16': 'BF16' in capabilities, 'torch': package_version('torch'),
        'driver_cuda': driver.version, 'gpus': driver.gpus, 'torch_cuda': torch_cuda_version(),
        **_torch_tensorrt(), 'l4t': l4t_version(read_text('/etc/nv_tegra_release')),
        'distribution': os.environ.get('ROS_DISTRO', ''),
        'ros': {name: is_importable(name) for name in (
            'rclpy', 'enet_ros.msg', 'vision_msgs', 'cv_bridge', 'tf2_ros')},
        'absent': tuple(name for name in absent_requirements()
                        if name not in ('torch', 'openvino'))}
    return MachineReport(**(known | (_gpu() if gpu else {})))


def _torch_tensorrt() -> dict[str, str]:
    """Read version and kind of torch_tensorrt from its distribution, of which there are two."""
    rtx = package_version('torch-tensorrt-rtx')
    return {'torch_tensorrt': rtx or package_version('torch-tensorrt'),
            'tensorrt_kind': 'TensorRT-RTX' if rtx else 'TensorRT'}


def _tensorrt_version() -> str:
    """Read the version of TensorRT from whichever of its distributions is installed."""
    names = ('tensorrt', 'tensorrt-cu13', 'tensorrt-cu12', 'tensorrt-rtx-cu13-bindings',
             'tensorrt-rtx-cu12-bindings', 'tensorrt-rtx')
    return next(filter(None, map(package_version, names)), '')


def _gpu() -> dict:
    return {'gpu_asked': True,
            'jetpack': _output('dpkg-query', '-W', '-f', '${Version}', 'nvidia-jetpack'),
            'tensorrt': _tensorrt_version(),
            **_probe()}


def l4t_version(release: str) -> str:
    """Read '36.4.3' from /etc/nv_tegra_release, '# R36 (release), REVISION: 4.3, ...'."""
    match = re.search(r'# R(\d+) .*?REVISION: ([\d.]+)', release)
    return f'{match[1]}.{match[2]}' if match else ''


def _openvino() -> tuple[str, list[str]]:
    try:
        openvino = import_openvino()
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


def _probe() -> dict:
    """Import torch, tensorrt and torch_tensorrt in a child; returns fields of MachineReport."""
    try:
        done = subprocess.run([sys.executable, '-c', PROBE], capture_output=True, text=True,
                              timeout=PROBE_TIMEOUT_SEC)
    except subprocess.TimeoutExpired:
        return {'problem': f'importing them took more than {PROBE_TIMEOUT_SEC:.0f} s'}
    found = [line for line in done.stdout.splitlines() if line.startswith('FOUND ')]
    if not found:
        return {'problem': f'importing them ended the process with {done.returncode}'}
    return json.loads(found[-1][len('FOUND '):])
