"""The facts about the machine, of made-up texts and of the machine that runs the tests."""

import os
import platform
import sys

import pytest

from enet_ros import machine
from enet_ros.machine import (
    CudaDriver,
    Machine,
    cuda_device_count,
    cuda_driver,
    describe_machine,
    package_version,
    processor_flags,
    processor_name,
    torch_cuda_version,
)


def test_the_processor_is_read_from_cpuinfo():
    text = 'processor\t: 0\nmodel name\t: Some  CPU @ 2 GHz\nflags\t\t: fpu avx512f\n'
    assert processor_name(text) == 'Some CPU @ 2 GHz'
    assert processor_flags(text) == {'fpu', 'avx512f'}
    assert processor_name('') == '' and processor_flags('') == frozenset()


def test_without_a_text_the_facts_are_of_this_machine(monkeypatch):
    monkeypatch.setattr(machine, 'cpuinfo_text', lambda: 'Hardware\t: Orin\nFeatures\t: bf16\n')
    assert (processor_name(), processor_flags()) == ('Orin', {'bf16'})


class FakeDriver:
    """A stand-in for libcuda.so.1 with so many GPUs."""

    def __init__(self, count, started=0):
        self._count, self._started = count, started

    def cuDriverGetVersion(self, version):  # noqa: N802  the driver's name
        version._obj.value = 12060

    def cuInit(self, flags):  # noqa: N802
        return self._started

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self._count
        return 0

    def cuDeviceGet(self, device, index):  # noqa: N802
        device._obj.value = index

    def cuDeviceGetName(self, name, size, device):  # noqa: N802
        name.value = b'Orin'

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        value._obj.value = {75: 8, 76: 7, 16: 16}[attribute]


@pytest.mark.parametrize(('driver', 'wanted'), [
    (FakeDriver(2), CudaDriver('12.6', 2 * ('Orin, compute capability 8.7, 16 multiprocessors',))),
    (FakeDriver(0), CudaDriver('12.6')), (FakeDriver(1, started=100), CudaDriver('12.6'))])
def test_the_driver_describes_its_gpus(monkeypatch, driver, wanted):
    monkeypatch.setattr(machine.ctypes, 'CDLL', lambda name: driver)
    cuda_driver.cache_clear()
    try:
        assert cuda_driver() == wanted
        assert cuda_device_count() == len(wanted.gpus)
    finally:
        cuda_driver.cache_clear()


def test_a_machine_without_a_driver_has_no_gpu(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(machine.ctypes, 'CDLL', absent)
    cuda_driver.cache_clear()
    try:
        assert cuda_driver() == CudaDriver() and cuda_device_count() == 0
    finally:
        cuda_driver.cache_clear()


def test_the_cuda_version_of_torch_is_the_one_that_torch_says():
    torch = pytest.importorskip('torch')
    assert torch_cuda_version() == (torch.version.cuda or '')


def test_the_description_names_processor_cores_and_packages():
    described = describe_machine('numpy', 'no-such-package')
    assert described.packages == {'numpy': package_version('numpy')}
    assert described.cores == len(os.sched_getaffinity(0))
    assert described.memory_gib > 0.1
    assert described.python == platform.python_version() == sys.version.split()[0]
    assert str(Machine('Some CPU', 2, ['AMX bf16'], 8.0, 0, '', '', {})) == (
        '2 cores of Some CPU (AMX bf16)')
