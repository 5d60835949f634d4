"""Backends on a CPU: threads, precisions and refusals."""

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

from enet_ros.backends.base import BackendRequest, PrecisionError
from enet_ros.backends.select import open_backend
from enet_ros.network.checkpoint import read_checkpoint, weights_path

torch = pytest.importorskip('torch')


@pytest.fixture(scope='module')
def request_():
    return BackendRequest(read_checkpoint(weights_path('')), (64, 32), use_cache=False)


@pytest.fixture
def no_cuda():
    if torch.cuda.is_available():
        pytest.skip('torch runs on CUDA')


def test_torch_gives_the_threads_of_the_process_back(request_, no_cuda, monkeypatch):
    from enet_ros.backends.torch import TorchBackend
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        backend, counted = TorchBackend(replace(request_, threads=1)), []
        graph = backend._graph(confidence=False)
        backend._graphs[False] = lambda frames: (counted.append(torch.get_num_threads()),
                                                 graph(frames))[1]
        backend.infer(np.zeros((1, 32, 64, 3), np.uint8))
        assert counted == [1] and torch.get_num_threads() == 3

        def fail(_):
            raise RuntimeError('out of memory')
        backend._graphs[False] = fail
        with pytest.raises(RuntimeError):
            backend.infer(np.zeros((1, 32, 64, 3), np.uint8))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_torch_in_bfloat16_computes_in_it_and_gives_the_confidence_as_float32(request_, no_cuda):
    from enet_ros.backends.torch import TorchBackend
    backend = TorchBackend(replace(request_, precision='bfloat16'))
    assert {value.dtype for value in backend._graph(confidence=False).state_dict().values()
            if value.is_floating_point()} == {torch.bfloat16}
    labels, probability = backend.infer(np.zeros((1, 32, 64, 3), np.uint8), confidence=True)
    assert (labels.dtype, probability.dtype) == (np.uint8, np.float32)


def test_an_error_of_the_precision_travels_between_processes():
    error = pickle.loads(pickle.dumps(PrecisionError('int8', 'no graph')))
    assert str(error) == 'precision int8: no graph' and error.reason == 'no graph'


def test_auto_goes_on_without_openvino(request_, no_cuda, monkeypatch):
    for name in [name for name in sys.modules if name.startswith('enet_ros.backends.openvino')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'openvino', None)  # its import fails
    backend, choice = open_backend('auto', request_)
    assert backend.name == 'torch' and 'openvino: import of openvino halted' in choice


def test_auto_names_what_is_absent_beside_a_precision_that_is_not_possible(request_, no_cuda,
                                                                          monkeypatch):
    from enet_ros.backends import select
    from enet_ros.backends.base import BackendError

    def broken(request):
        raise RuntimeError('no such instruction')
    monkeypatch.setitem(select.OPENERS, 'torch', broken)
    with pytest.raises(BackendError, match="^backend 'auto' is not available: openvino: precision "
                                           'float16: .*; torch: no such instruction$'):
        open_backend('auto', replace(request_, precision='float16'))


def test_tensorrt_beside_a_torch_without_cuda_is_not_what_will_run():
    from enet_ros.backends.select import BackendSupport, explain_auto
    support = BackendSupport(cuda_device=True, torch_tensorrt=True, torch_cuda=False,
                             openvino=True, torch=True, bfloat16=False)
    assert explain_auto(support).startswith('openvino, float32')


def test_an_engine_that_is_half_in_float_is_refused():
    from collections import Counter

    from enet_ros.backends.tensorrt.build import BuildError, check_types
    check_types(Counter(HALF=88))
    with pytest.raises(BuildError, match='of the convolutions are 1 float, 87 half, wanted only'):
        check_types(Counter(HALF=87, FLOAT=1))


@pytest.fixture
def build_one(tmp_path, monkeypatch):
    """A function that builds an engine by a stand-in for the compiler; and what it met."""
    from enet_ros.backends.tensorrt import build
    request = build.BuildRequest(None, (64, 32), 1, False, tmp_path / 'a.engine')
    met = []

    def compile_engine(request, folder):
        met.append(folder.stat().st_mode & 0o777)
        return b'engine'
    monkeypatch.setattr(build, 'compile_engine', compile_engine)
    return lambda: build.build(request), met, request.path


def test_the_folder_of_a_build_is_the_users_alone_and_goes_away(build_one):
    """What is saved there is loaded as code."""
    build, met, path = build_one
    build()
    assert met == [0o700]
    assert sorted(file.name for file in path.parent.iterdir()) == ['a.engine', 'a.lock']


def test_an_engine_that_cannot_be_kept_is_a_failure(build_one, monkeypatch):
    from enet_ros.backends.tensorrt import build as module
    build, _, path = build_one
    monkeypatch.setattr(module, 'write_file', lambda *_: False)
    with pytest.raises(module.BuildError, match=r'a\.engine cannot be written'):
        build()


def test_a_second_build_waits_for_the_first(build_one):
    import fcntl
    import threading

    from enet_ros.backends.cache import write_file
    build, met, path = build_one
    with open(path.with_suffix('.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=build, daemon=True)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and not met
        assert write_file(path, b'of the first')
    thread.join(10)
    assert not thread.is_alive() and not met


def test_no_engine_is_built_once_the_backend_is_gone(request_, monkeypatch):
    """A second engine waits for the first, and the node may be gone meanwhile."""
    from enet_ros.backends.tensorrt import supply as module
    supply = module.EngineSupply(request_, None)
    monkeypatch.setattr(module, 'start_child', lambda *_: pytest.fail('a build was started'))
    supply.stop()
    assert supply._start_child() is None


@pytest.mark.parametrize(('native', 'picked'), [(False, 'float32'), (True, 'bfloat16')])
def test_auto_is_bfloat16_where_the_cpu_has_it_and_it_is_refused_elsewhere(
        request_, monkeypatch, native, picked):
    pytest.importorskip('openvino')
    from enet_ros.backends import openvino
    monkeypatch.setattr(openvino, 'has_bfloat16', lambda core: native)
    assert openvino._pick_precision(None, request_) == picked
    wanted = replace(request_, precision='bfloat16')
    if native:
        assert openvino._pick_precision(None, wanted) == 'bfloat16'
        return
    with pytest.raises(PrecisionError, match='this CPU has no bfloat16 arithmetic; possible: '):
        openvino._pick_precision(None, wanted)


@pytest.fixture
def parts_of(monkeypatch):
    """Return a function that gives the parts of the key of a compiled network, as text."""
    pytest.importorskip('openvino')
    from enet_ros.backends import openvino
    names = []

    class Stop(Exception):
        pass

    def key(*parts):
        names.append(parts)
        raise Stop
    monkeypatch.setattr(openvino, 'cache_key', key)

    def parts_of(request, *, confidence=False, **patches):
        with monkeypatch.context() as patch:
            for name, value in patches.items():
                patch.setattr(openvino, name, value)
            patch.setattr(openvino.OpenVinoBackend, '_infer_request', lambda self, **_: None)
            backend = openvino.OpenVinoBackend(request)
            with pytest.raises(Stop):
                backend._compiled(confidence=confidence)
        return repr(names[-1])
    return parts_of


def test_what_is_compiled_depends_on_all_of_these(request_, parts_of):
    """A compiled network of the cache serves only what it was compiled for."""
    import openvino as ov

    from enet_ros.backends.openvino import has_bfloat16
    from enet_ros.network.quantized import QuantizedGraph
    plain = replace(request_, precision='float32')
    checkpoint = request_.checkpoint
    graph = QuantizedGraph(b'<?xml', b'1', (64, 32), checkpoint.float_fingerprint())
    int8 = replace(plain, precision='int8', checkpoint=replace(checkpoint, int8=graph))
    keys = [
        parts_of(plain), parts_of(plain, confidence=True),
        parts_of(replace(plain, resolution=(32, 64))), parts_of(replace(plain, threads=2)),
        parts_of(replace(plain, checkpoint=replace(checkpoint, temperature=2.0))),
        parts_of(plain, GRAPH_VERSION=-1), parts_of(plain, preferred_convolutions=lambda *_: 'x'),
        parts_of(int8), parts_of(replace(int8, precision='float32'))]
    if has_bfloat16(ov.Core()):
        keys.append(parts_of(replace(plain, precision='bfloat16')))
        keys.append(parts_of(replace(int8, precision='bfloat16')))  # its hint is that of int8
    keys.append(parts_of(replace(int8, checkpoint=replace(
        checkpoint, int8=replace(graph, bin=b'2')))))
    assert len(set(keys)) == len(keys)
    assert ov.__version__ in keys[0]
    assert ov.Core().get_property('CPU', 'FULL_DEVICE_NAME').strip() in keys[0]


def test_without_the_cache_nothing_is_read_and_nothing_kept(request_, monkeypatch, tmp_path):
    pytest.importorskip('openvino')
    from enet_ros.backends.openvino import OpenVinoBackend
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))
    said = []
    quiet = replace(request_, precision='float32', report=said.append)
    assert not OpenVinoBackend(quiet).from_cache
    assert not (tmp_path / 'cache').exists() and not said
    kept = OpenVinoBackend(replace(quiet, use_cache=True, report=None))
    assert not kept.from_cache and len(list((tmp_path / 'cache').iterdir())) == 1
    assert not OpenVinoBackend(quiet).from_cache


def test_each_frame_of_a_batch_has_its_own_labels_confidence_and_memory(request_):
    pytest.importorskip('openvino')
    from enet_ros.backends.openvino import OpenVinoBackend
    from enet_ros.scene.frames import street_frames
    backend = OpenVinoBackend(replace(request_, precision='float32', threads=1))
    frames = street_frames((64, 32), 3)
    labels, confidence = backend.infer(frames, confidence=True)
    first = labels.copy()
    for i in range(3):
        alone, sure = backend.infer(frames[i:i + 1], confidence=True)
        assert np.array_equal(labels[i], alone[0])
        np.testing.assert_allclose(confidence[i], sure[0], atol=1e-5)
    backend.infer(255 - frames)
    assert np.array_equal(labels, first)  # the caller owns them
    assert backend.infer(frames)[1] is None
    compiled = backend._requests[False].get_compiled_model()
    assert len(compiled.outputs) == 1 and compiled.get_property('INFERENCE_NUM_THREADS') == 1
