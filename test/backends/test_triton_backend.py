"""When the backend triton is refused, without a GPU. Its kernels are in test_triton_kernels.py."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.fake_gpu import SIZE

from enet_ros.backends import select
from enet_ros.backends.base import BackendError, PrecisionError
from enet_ros.backends.select import candidates, open_backend
from enet_ros.backends.torch import TorchBackend
from enet_ros.backends.triton import backend as triton_backend
from enet_ros.backends.triton.backend import (
    TritonBackend,
    check_request,
    count_kernels,
    use_private_cache,
)


@pytest.fixture
def gpu_with_triton(monkeypatch):
    """A machine with a GPU and Triton, as far as the checks can tell."""
    for module in (triton_backend, select):
        monkeypatch.setattr(module, 'cuda_device_count', lambda: 1)
        monkeypatch.setattr(module, 'find_spec', lambda name: True)


def test_a_request_that_it_can_do_is_taken(gpu_with_triton, request_):
    check_request(request_)
    check_request(replace(request_, precision='float16'))


def test_without_a_gpu_the_error_says_so(request_, monkeypatch):
    for module in (triton_backend, select):
        monkeypatch.setattr(module, 'cuda_device_count', lambda: 0)
    with pytest.raises(BackendError) as error:
        open_backend('triton', request_)
    assert str(error.value) == ("backend 'triton' is not available: no CUDA device; "
                                'possible here: auto, openvino, torch')


def test_without_triton_the_error_says_so(gpu_with_triton, request_, monkeypatch):
    monkeypatch.setattr(triton_backend, 'find_spec', lambda name: None)
    with pytest.raises(BackendError, match='triton is not installed; it comes with torch for '
                                           'CUDA on Linux'):
        open_backend('triton', request_)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16', 'int8'])
def test_another_precision_is_refused(gpu_with_triton, request_, precision):
    with pytest.raises(PrecisionError, match='triton runs float16'):
        check_request(replace(request_, precision=precision))


def test_another_architecture_is_refused(gpu_with_triton, request_):
    other = replace(request_.checkpoint, architecture='pytorch-enet')
    with pytest.raises(BackendError, match="of the architecture 'enet', and the weights are of "
                                           "'pytorch-enet'"):
        check_request(replace(request_, checkpoint=other))


def test_a_torch_without_cuda_is_refused(gpu_with_triton, request_, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setenv('TRITON_CACHE_DIR', '/nowhere')
    with pytest.raises(BackendError, match='does not see the CUDA device'):
        TritonBackend(request_)


def test_auto_never_takes_it():
    for gpu in (False, True):
        for tensorrt in (False, True):
            assert 'triton' not in [one.backend for one in candidates(
                cuda_device=gpu, torch_tensorrt=tensorrt)]


def test_compiled_kernels_lie_in_our_private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path))
    monkeypatch.delenv('TRITON_CACHE_DIR', raising=False)
    use_private_cache()
    assert os.environ['TRITON_CACHE_DIR'] == str(tmp_path / 'triton')
    monkeypatch.setenv('TRITON_CACHE_DIR', '/named/by/the/user')
    use_private_cache()
    assert os.environ['TRITON_CACHE_DIR'] == '/named/by/the/user'


def test_kernels_that_were_compiled_since_the_start_are_not_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    backend = Kernels(None)
    assert backend.from_cache
    (tmp_path / 'AB12').mkdir()
    (tmp_path / 'AB12' / 'bottleneck.cubin').touch()
    assert not backend.from_cache and Kernels(None).from_cache


def test_it_says_at_the_start_that_it_compiles(gpu_with_triton, request_, monkeypatch):
    monkeypatch.setenv('TRITON_CACHE_DIR', '/nowhere')
    monkeypatch.setattr(TorchBackend, '__init__', lambda self, request: None)
    monkeypatch.setattr(TritonBackend, '_check_labels', lambda self, reference: None)
    said = []
    TritonBackend(replace(request_, report=said.append))
    assert said == ['the kernels of Triton are loaded; the first start compiles them, '
                    'for about 20 s']


class Kernels(TritonBackend):
    """The backend with labels of a test's own, on a machine without a GPU."""

    def __init__(self, labels):
        self._resolution, self._labels = SIZE, labels
        self._kernels_before = count_kernels()

    def infer(self, frames, *, confidence=False):
        """Return the labels or raise the error of the test."""
        if isinstance(self._labels, Exception):
            raise self._labels
        return self._labels, None


@pytest.fixture(scope='module')
def reference(request_):
    return TorchBackend(request_)


@pytest.fixture(scope='module')
def right_labels(reference):
    from enet_ros.scene.frames import street_frame
    return reference.infer(street_frame(SIZE)[None])[0]


def test_labels_that_agree_are_used(reference, right_labels):
    Kernels(right_labels)._check_labels(reference)  # raises no BackendError


def test_other_labels_are_refused(reference, right_labels):
    wrong = right_labels.copy()
    wrong[:, :32] ^= 1
    share = f'{100 * np.mean(wrong == right_labels):.2f}'
    with pytest.raises(BackendError, match=f'agree with torch on {share} % of a test frame, '
                                           'wanted 99 %'):
        Kernels(wrong)._check_labels(reference)


def test_kernels_that_fail_are_refused_in_one_line(reference):
    failure = RuntimeError('no C compiler\n  was found')
    with pytest.raises(BackendError, match='run here: RuntimeError: no C compiler was') as error:
        Kernels(failure)._check_labels(reference)
    assert '\n' not in str(error.value)
