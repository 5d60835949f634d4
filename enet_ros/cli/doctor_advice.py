"""What ``enet-ros doctor`` advises: what falls short on a machine, and what to do about it."""

from __future__ import annotations

import re

from enet_ros.backends.select import explain_auto
from enet_ros.cli.doctor_machine import MachineReport

OLDEST_TORCH_TENSORRT = (2, 8)
JETSON_INDEX = 'https://pypi.jetson-ai-lab.io/jp6/cu126'


def version_tuple(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: '2.8.0a0+cu126' is (2, 8, 0)."""
    return tuple(int(number) for number in re.findall(r'\d+', version.partition('+')[0])[:3])


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
        return [f'torch_tensorrt cannot be imported ({machine.problem}): {install}']
    return []


def _install_torch(machine: MachineReport) -> str:
    if machine.l4t:
        return f'pip install torch==2.8.0 --index-url {JETSON_INDEX}'
    if not machine.gpu_asked:
        return 'pip install torch --index-url https://download.pytorch.org/whl/cpu'
    if version_tuple(machine.torch_cuda) > version_tuple(machine.driver_cuda):
        return ('update the NVIDIA driver, or take a torch for that CUDA or an older one from '
                'https://download.pytorch.org/whl/')
    return "pip install --force-reinstall torch (PyPI's is built with CUDA)"


def _install_torch_tensorrt(machine: MachineReport) -> str:
    wanted = '.'.join(map(str, version_tuple(machine.torch)[:2]))
    if machine.tensorrt_kind == 'TensorRT-RTX':
        return f"pip install 'torch-tensorrt-rtx=={wanted}.*'"
    if machine.l4t:
        return f'pip install torch-tensorrt=={wanted}.0 --no-deps --index-url {JETSON_INDEX}'
    return f"pip install 'torch-tensorrt=={wanted}.*'"
