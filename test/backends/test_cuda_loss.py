"""Whether CUDA is lost for the process, on a machine without a GPU."""

import pytest
import torch

from enet_ros.backends.torch import TorchBackend


def fail():
    raise RuntimeError('CUDA error: an illegal memory access was encountered')


@pytest.mark.parametrize(('synchronize', 'is_lost'), [(fail, True), (lambda: None, False)])
def test_cuda_is_lost_if_the_device_answers_with_an_error(
        gpu, request_, monkeypatch, synchronize, is_lost):
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'synchronize', synchronize)
    assert TorchBackend(request_).is_lost() is is_lost
    assert gpu.open().is_lost() is is_lost


def test_a_process_without_cuda_has_not_lost_it(request_):
    assert not TorchBackend(request_).is_lost()
