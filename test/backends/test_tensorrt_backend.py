"""The TensorRT backend: who segments the frames, agreement with torch, and the choice of it."""

from dataclasses import replace

import numpy as np
import pytest
from support.fake_gpu import SIZE, WAIT_SEC, FakeRunner, until

from enet_ros.backends import select
from enet_ros.backends.base import BackendError
from enet_ros.backends.select import open_backend
from enet_ros.backends.tensorrt import backend as tensorrt_backend
from enet_ros.backends.torch import TorchBackend


def test_torch_serves_while_the_engine_is_built_then_the_engine_does(gpu, frames):
    gpu.gate.touch()
    backend = gpu.open()
    plain = TorchBackend(gpu.request).infer(frames)[0]
    until(lambda: 'building: compiling' in backend.status(), backend.status())
    assert backend.status() == 'labels: building: compiling (torch serves the frames)'
    assert np.array_equal(backend.infer(frames)[0], plain)
    assert not gpu.runners
    gpu.gate.unlink()
    until(lambda: 'loaded' in backend.status(), backend.status())
    assert np.array_equal(backend.infer(frames)[0], plain)  # compares, then switches over
    assert gpu.runners[0].calls == 2  # the test frame, then all frames at once
    assert backend.status() == ('labels: engine loaded after it was built, labels agree with '
                                'torch on 100.00 % of a test frame')


def test_each_kind_of_output_has_an_engine(gpu, frames):
    backend = gpu.open()
    assert backend.wait(confidence=True, timeout_sec=WAIT_SEC)
    assert backend.wait(confidence=False, timeout_sec=WAIT_SEC)
    labels, probability = backend.infer(frames, confidence=True)
    assert labels.dtype == np.uint8 and probability.dtype == np.float32
    assert labels.shape == probability.shape == (3, SIZE[1], SIZE[0])
    assert backend.infer(frames)[1] is None
    assert len(gpu.engines()) == 2


def test_the_next_start_takes_the_engine_from_the_cache(gpu, frames):
    assert gpu.open().wait(timeout_sec=WAIT_SEC)
    gpu.builds(step='raise SystemExit(9)')
    backend = gpu.open()
    backend.infer(frames)
    assert 'engine loaded from the cache' in backend.status()
    assert gpu.cache.stat().st_mode & 0o777 == 0o700


def test_other_requests_do_not_share_an_engine(gpu):
    assert gpu.open().wait(timeout_sec=WAIT_SEC)
    gpu.request = replace(gpu.request, batch=2)
    assert 'torch serves' in gpu.open().status()


def test_nothing_stays_on_disk_without_the_cache(gpu, frames):
    backend = gpu.open(use_cache=False)
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert not gpu.cache.exists()


def test_a_batch_is_cut_into_the_engines_own_and_filled_up(gpu, frames):
    gpu.request = replace(gpu.request, batch=2)
    backend = gpu.open()
    assert backend.wait(timeout_sec=WAIT_SEC)
    labels, _ = backend.infer(frames)
    assert np.array_equal(labels, TorchBackend(gpu.request).infer(frames)[0])
    assert gpu.runners[0].calls == 1 + 1  # CudaRunner cuts a batch, test_the_runner_cuts_a_batch


@pytest.mark.parametrize(('share', 'used'), [(0.995, True), (0.98, False)])
def test_an_engine_is_used_only_if_it_agrees_with_torch(gpu, frames, share, used):
    gpu.builds(share=share)
    backend = gpu.open()
    assert backend.wait(timeout_sec=WAIT_SEC) == used
    calls = gpu.runners[0].calls
    labels, _ = backend.infer(frames)
    assert (gpu.runners[0].calls > calls) == used
    assert f'{100 * share:.1f}' in backend.status()
    if not used:
        assert 'refused: labels agree with torch on 98.0' in backend.status()
        assert 'wanted 99 % (torch serves the frames)' in backend.status()
        assert np.array_equal(labels, TorchBackend(gpu.request).infer(frames)[0])


def test_an_engine_that_raises_on_the_test_frame_is_refused(gpu, monkeypatch, frames):
    def broken(*_):
        raise RuntimeError('CUDA error')

    monkeypatch.setattr(FakeRunner, '__call__', broken)
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert 'refused: RuntimeError: CUDA error' in backend.status()
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])


def test_auto_prefers_tensorrt_where_it_works(gpu):
    backend, choice = open_backend('auto', gpu.request)
    assert backend.name == 'tensorrt'
    assert choice.startswith('backend tensorrt, float16 on Orin: there is a CUDA device')


def test_auto_takes_torch_where_tensorrt_cannot(gpu, monkeypatch):
    monkeypatch.setitem(select.OPENERS, 'torch', lambda request: TorchBackend(
        replace(request, needs_cuda=False)))  # one that sees the GPU
    backend, choice = open_backend('auto', replace(gpu.request, precision='float32'))
    assert backend.name == 'torch'
    assert 'tensorrt: precision float32: tensorrt runs float16' in choice


def test_without_a_gpu_the_error_says_so(request_, monkeypatch):
    monkeypatch.setattr(tensorrt_backend, 'cuda_device_count', lambda: 0)
    monkeypatch.setattr(select, 'cuda_device_count', lambda: 0)
    with pytest.raises(BackendError) as error:
        open_backend('tensorrt', request_)
    assert str(error.value) == ("backend 'tensorrt' is not available: no CUDA device; "
                                'possible here: auto, openvino, torch')


def test_without_torch_tensorrt_the_error_says_so(gpu, monkeypatch):
    monkeypatch.setattr(tensorrt_backend, 'find_spec', lambda name: None)
    monkeypatch.setattr(select, 'find_spec', lambda name: None)
    with pytest.raises(BackendError, match='torch_tensorrt is not installed.*possible here: '
                                           'auto, openvino, torch$'):
        open_backend('tensorrt', gpu.request)


@pytest.mark.ros
def test_the_node_says_what_the_engine_is_at_and_serves_frames_meanwhile(gpu, bench, road_frame):
    def engine():
        values = node.messages['/diagnostics'][-1].status[0].values
        return {pair.key: pair.value for pair in values}.get('engine', '')

    gpu.request = replace(gpu.request, resolution=(160, 96))
    gpu.gate.touch()
    node = bench(backend='tensorrt', precision='auto', resolution=[160, 96],
                 diagnostics_period=0.1)
    node.listen('labels', '/diagnostics')
    node.wait(lambda: node.messages['/diagnostics'] and 'compiling' in engine(), 'the build')
    assert 'torch serves the frames' in engine()
    before = node.reply(node.image(road_frame), 'labels')
    assert not gpu.runners
    gpu.gate.unlink()
    node.wait(lambda: all(text in engine() for text in ('labels: loaded', 'confidence: loaded')),
              'the engines', seconds=WAIT_SEC)
    after = node.reply(node.image(road_frame), 'labels')
    assert after.data == before.data
    # One frame a second is given its confidence, by the other engine.
    node.wait(lambda: node.reply(node.image(road_frame), 'labels') and engine().startswith(
        'labels: engine loaded after it was built'), 'the switch-over')
