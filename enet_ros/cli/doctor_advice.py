"""What ``enet-ros doctor`` advises: what falls short on a machine, and what to do about it."""

from __future__ import annotations

import re

from enet_ros.backends.select import explain_auto
from enet_ros.cli.doctor_machine import MachineReport, version_tuple

OLDEST_TORCH_TENSORRT = (2, 8)
JETSON_INDEX = 'https://pypi.jetson-ai-lab.io/jp6/cu126'
JETSON_TORCH = '2.8.0'  # the last for JetPack 6
#: Else pip keeps PyPI's torch, which has the same version and no CUDA. The index has only Jetson's
#: wheels, and not what they need.
FROM_JETSON_INDEX = f'pip install --force-reinstall --no-deps --index-url {JETSON_INDEX}'
UPDATE_DRIVER = ('update the NVIDIA driver, or take a torch for that CUDA or an older one from '
                 'https://download.pytorch.org/whl/')
TORCH_CUDA = '13.0'  # of PyPI's torch of the version that constraints/bare.txt pins


def driver_is_older(machine: MachineReport, cuda: str) -> bool:
    """Say whether the driver cannot run what is built for a CUDA; minor versions fit."""
    return version_tuple(machine.driver_cuda)[:1] < version_tuple(cuda)[:1]


def choice(machine: MachineReport) -> str:
    """Say which backend and precision ``auto`` picks, and why."""
    support = machine.backend_support()
    text = explain_auto(support)
    if machine.gpus and machine.torch and not support.torch_cuda:
        text += f'; torch {machine.torch} does not see the CUDA device'
    if support.torch_cuda and not machine.gpu_asked:
        text += '; not tried, --gpu does'
    return text


def shortfalls(machine: MachineReport) -> list[str]:
    """Return what falls short, each with what to do about it."""
    missing = []
    if not machine.torch:
        missing.append('torch is not installed, and every backend needs it once to read the '
                       f'network: {_install_torch(machine)}')
    elif not (machine.openvino or machine.gpu_asked or machine.backend_support().torch_cuda):
        missing.append('OpenVINO is not installed, and torch alone takes twice as long: '
                       'pip install openvino')
    if machine.absent:
        missing.append(f"{', '.join(machine.absent)} cannot be imported: activate the virtual "
                       f"environment of the workspace, or pip install {' '.join(machine.absent)}")
    if not machine.ros.get('rclpy'):
        missing.append('rclpy is not importable: source /opt/ros/<distribution>/setup.bash, or on '
                       'a bare machine run make setup and source scripts/ros_env.sh')
    elif not machine.ros.get('enet_ros.msg'):
        missing.append("the package's messages are not built: run colcon build and source "
                       'install/setup.bash, or make setup and scripts/ros_env.sh')
    return missing + (_gpu_shortfalls(machine) if machine.gpu_asked else [])


def _gpu_shortfalls(machine: MachineReport) -> list[str]:
    """Return the first thing between this machine and TensorRT; the later ones follow from it."""
    if not machine.driver_cuda:
        return ['no CUDA driver (libcuda.so.1): on a PC install the NVIDIA driver, on a Jetson '
                'JetPack 6; start a container with --gpus all, on a Jetson with --runtime nvidia']
    if not machine.gpus:
        return ['the CUDA driver is there and finds no GPU: start a container with --gpus all, on '
                'a Jetson with --runtime nvidia; else see dmesg']
    if not machine.torch:
        return []
    if machine.torch_problem:
        return [f'torch {machine.torch} cannot be imported ({machine.torch_problem}): '
                + _mend_import(machine, machine.torch_problem, _install_torch(machine))]
    if not machine.torch_sees_gpu:
        built = (f'is built for CUDA {machine.torch_cuda}, the driver knows '
                 f'{machine.driver_cuda}' if machine.torch_cuda else 'is built without CUDA')
        return [f'torch {machine.torch} {built}: {_install_torch(machine)}']
    return _tensorrt_shortfalls(machine)


def _tensorrt_shortfalls(machine: MachineReport) -> list[str]:
    install = _install_torch_tensorrt(machine)
    if not machine.torch_tensorrt:
        return [f'torch_tensorrt is not installed: {install}']
    version = version_tuple(machine.torch_tensorrt)[:2]
    if version != version_tuple(machine.torch)[:2]:
        return [f'torch_tensorrt {machine.torch_tensorrt} is made for another torch than '
                f'{machine.torch}: {install}']
    if version < OLDEST_TORCH_TENSORRT:
        return [f'torch_tensorrt is {machine.torch_tensorrt}, wanted 2.8 or newer: update torch '
                'and torch_tensorrt together']
    if not machine.tensorrt_works:
        return [f'torch_tensorrt cannot be imported ({machine.problem}): '
                + _mend_import(machine, machine.problem, install)]
    return []


def _mend_import(machine: MachineReport, problem: str, install: str) -> str:
    """Say what to do about an import that failed; ``install`` installs the package again."""
    if 'libcusparseLt' in problem:
        return 'install cuSPARSELt: docs/jetson.md, step 1' if machine.has_jetpack6() \
            else 'pip install --force-reinstall torch'
    module = re.search(r"No module named '(\w+)'", problem)
    if module is None or not machine.has_jetpack6():
        return install
    if module[1] == 'tensorrt':
        return ('sudo apt-get install python3-libnvinfer, and make the virtual environment with '
                '--system-site-packages')
    return f'pip install {module[1]}'


def _install_torch(machine: MachineReport) -> str:
    if machine.has_jetpack6():
        return (f'{FROM_JETSON_INDEX} torch=={JETSON_TORCH}; what else it needs is in '
                'docs/jetson.md, step 3')
    if not machine.gpu_asked:
        return 'pip install torch --index-url https://download.pytorch.org/whl/cpu'
    if not machine.torch_cuda and driver_is_older(machine, TORCH_CUDA):
        return (f"the driver knows CUDA {machine.driver_cuda}, and PyPI's torch wants "
                f'{TORCH_CUDA}: {UPDATE_DRIVER}')
    if version_tuple(machine.torch_cuda) > version_tuple(machine.driver_cuda):
        return UPDATE_DRIVER
    return "pip install --force-reinstall torch (PyPI's is built with CUDA)"


def _install_torch_tensorrt(machine: MachineReport) -> str:
    wanted = '.'.join(map(str, version_tuple(machine.torch)[:2]))
    if machine.tensorrt_kind == 'TensorRT-RTX':
        return f"pip install 'torch-tensorrt-rtx=={wanted}.*'"
    if machine.has_jetpack6():
        return f'{FROM_JETSON_INDEX} torch-tensorrt=={wanted}.0'
    return f"pip install 'torch-tensorrt=={wanted}.*'"
