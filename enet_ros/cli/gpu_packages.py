"""Which packages this machine's GPU wants; ``scripts/setup.sh gpu`` installs what this prints.

    python -m enet_ros.cli.gpu_packages [--torch VERSION]

The first line says what was chosen and why, and each further line is an argument of pip. Exit code
1 says that there is nothing to install; the line says why.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from enet_ros.cli.doctor_advice import (
    JETSON_INDEX,
    JETSON_TORCH,
    TORCH_CUDA,
    driver_is_older,
)
from enet_ros.cli.doctor_machine import MachineReport, capability, gather

#: Compute capabilities in TensorRT-RTX's support matrix; newer ones than the last are as well.
RTX_CAPABILITIES = {(7, 5), (8, 6), (8, 9), (12, 0)}
JETSON_CUDA = '12.6'  # of JetPack 6's torch


@dataclass(frozen=True)
class GpuPackages:
    """What to install for a GPU.

    Attributes:
        choice: One sentence that says what was chosen and why.
        arguments: Arguments of ``pip install``; empty where there is nothing to install.
    """

    choice: str
    arguments: tuple[str, ...] = ()


def gpu_packages(machine: MachineReport, torch: str) -> GpuPackages:
    """Choose the packages for the first GPU of a machine.

    Args:
        machine: What the machine has; the GPU as the driver describes it.
        torch: Version of torch that the checkout pins, such as '2.13.0'.
    """
    if not machine.gpus:
        return GpuPackages('no CUDA device was found, so there is nothing to install for a GPU: '
                           'enet-ros doctor --gpu says what is missing')
    gpu = machine.gpus[0]
    cuda = JETSON_CUDA if machine.has_jetpack6() else TORCH_CUDA
    if driver_is_older(machine, cuda):
        version = JETSON_TORCH if machine.has_jetpack6() else torch
        return GpuPackages(f'{gpu}: the driver knows CUDA {machine.driver_cuda}, and torch '
                           f'{version} wants {cuda}: update the NVIDIA driver (on a Jetson, '
                           'JetPack)')
    if machine.has_jetpack6():
        replace = () if machine.torch_cuda else ('--force-reinstall',)  # not NVIDIA's
        return GpuPackages(
            f'{gpu}: a Jetson with JetPack 6 takes torch and torch-tensorrt {JETSON_TORCH} of '
            'NVIDIA, and TensorRT of its JetPack',
            (*replace, '--no-deps', '--index-url', JETSON_INDEX, f'torch=={JETSON_TORCH}',
             f'torch-tensorrt=={JETSON_TORCH}'))
    found = capability(gpu)
    # The set-up's own torch, 2.13.0+cpu, is == 2.13.0 and not === 2.13.0: pip replaces it once it
    # has the other one. Were it removed before, a failed download would leave no torch.
    wanted = f'torch==={torch}'
    if machine.machine == 'aarch64':
        return GpuPackages(f'{gpu}: TensorRT-RTX has no package for Arm, so TensorRT itself is '
                           'taken', (wanted, f'torch-tensorrt=={torch}'))
    if found in RTX_CAPABILITIES or found > max(RTX_CAPABILITIES):
        return GpuPackages(f'{gpu}: TensorRT-RTX supports it and comes from PyPI',
                           (wanted, f'torch-tensorrt-rtx=={torch}'))
    return GpuPackages(f'{gpu}: TensorRT-RTX does not list it, so TensorRT itself is taken',
                       (wanted, f'torch-tensorrt=={torch}'))


def main() -> int:
    """Print the choice and pip's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--torch', required=True, metavar='VERSION',
                        help='version of torch that the checkout pins')
    packages = gpu_packages(gather(gpu=False), parser.parse_args().torch)
    print('\n'.join([packages.choice, *packages.arguments]))
    return 0 if packages.arguments else 1


if __name__ == '__main__':
    sys.exit(main())
