"""Which packages a GPU wants."""

from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from enet_ros.cli import doctor_machine
from enet_ros.cli.doctor_advice import JETSON_INDEX
from enet_ros.cli.doctor_machine import MachineReport, capability
from enet_ros.cli.gpu_packages import gpu_packages, main
from enet_ros.machine import CudaDriver

REPOSITORY = Path(__file__).resolve().parents[2]


def machine(gpu, **fields):
    return MachineReport(gpus=(gpu,), **{'driver_cuda': '13.0', **fields})


ORIN = 'Orin, compute capability 8.7, 16 multiprocessors'


@pytest.mark.parametrize(('gpu', 'package', 'words'), [
    ('RTX 2060, compute capability 7.5, 30 multiprocessors', 'torch-tensorrt-rtx', 'supports it'),
    ('RTX 4090, compute capability 8.9, 128 multiprocessors', 'torch-tensorrt-rtx', 'supports it'),
    ('RTX 5090, compute capability 12.0, 170 multiprocessors', 'torch-tensorrt-rtx',
     'supports it'),
    ('RTX 6090, compute capability 12.1, 170 multiprocessors', 'torch-tensorrt-rtx',
     'supports it'),
    ('A100, compute capability 8.0, 108 multiprocessors', 'torch-tensorrt', 'does not list it'),
    ('H100, compute capability 9.0, 132 multiprocessors', 'torch-tensorrt', 'does not list it')])
def test_the_kind_of_tensorrt_follows_the_gpu(gpu, package, words):
    packages = gpu_packages(machine(gpu), '2.13.0')
    assert packages.arguments == ('torch===2.13.0', f'{package}==2.13.0')
    assert gpu in packages.choice and words in packages.choice


@pytest.mark.parametrize('l4t', ['36.4.3', ''])  # a container has no file that says it
def test_a_jetson_with_jetpack_6_takes_nvidias_packages_alone(l4t):
    packages = gpu_packages(machine(ORIN, l4t=l4t, driver_cuda='12.6'), '2.13.0')
    assert JETSON_INDEX in packages.arguments and '--no-deps' in packages.arguments
    assert {'torch==2.8.0', 'torch-tensorrt==2.8.0'} <= set(packages.arguments)


@pytest.mark.parametrize(('gpu', 'l4t'), [
    ('NVIDIA Thor, compute capability 11.0, 20 multiprocessors', '38.2.0'), (ORIN, '38.4.0'),
    (ORIN, ''), ('NVIDIA GB10, compute capability 12.1, 48 multiprocessors', '')])
def test_jetpack_7_and_other_arm_machines_take_the_packages_of_pypi(gpu, l4t):
    packages = gpu_packages(machine(gpu, machine='aarch64', l4t=l4t), '2.13.0')
    assert packages.arguments == ('torch===2.13.0', 'torch-tensorrt==2.13.0')


@pytest.mark.parametrize(('gpu', 'l4t', 'driver', 'words'), [
    ('RTX 3060, compute capability 8.6, 28 multiprocessors', '', '12.2',
     'knows CUDA 12.2, and torch 2.13.0 wants 13.0: update the NVIDIA driver'),
    (ORIN, '35.4.1', '11.4', 'knows CUDA 11.4, and torch 2.8.0 wants 12.6: update')])
def test_what_the_driver_cannot_run_is_not_installed(gpu, l4t, driver, words):
    packages = gpu_packages(machine(gpu, l4t=l4t, driver_cuda=driver), '2.13.0')
    assert packages.arguments == () and words in packages.choice


def test_a_torch_without_cuda_is_replaced_and_never_removed_before():
    assert not SpecifierSet('===2.13.0').contains('2.13.0+cpu')  # as == does
    assert 'uninstall' not in (REPOSITORY / 'scripts' / 'setup.sh').read_text()
    orin = machine(ORIN, l4t='36.4.3')
    assert '--force-reinstall' in gpu_packages(orin, '2.13.0').arguments
    assert '--force-reinstall' not in gpu_packages(
        replace(orin, torch_cuda='12.6'), '2.13.0').arguments


def test_the_release_file_of_a_jetson_is_read_by_the_command(monkeypatch, capsys):
    monkeypatch.setattr(doctor_machine, 'read_text', {
        '/etc/nv_tegra_release': '# R36 (release), REVISION: 4.3, GCID: 38968081'}.get)
    monkeypatch.setattr(doctor_machine, 'cuda_driver', lambda: CudaDriver(
        '12.6', ('Orin, compute capability 8.7, 16 multiprocessors',)))
    monkeypatch.setattr('sys.argv', ['gpu_packages', '--torch', '2.13.0'])
    assert main() == 0
    assert f'--index-url\n{JETSON_INDEX}\ntorch==2.8.0\n' in capsys.readouterr().out


def test_without_a_gpu_nothing_is_installed_and_the_reason_is_given():
    packages = gpu_packages(MachineReport(), '2.13.0')
    assert packages.arguments == ()
    assert 'no CUDA device' in packages.choice


def test_a_gpu_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match="the GPU is 'something'"):
        capability('something')
