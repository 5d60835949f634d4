"""The TensorRT backend without a GPU: keys, cache, builds, fallback, versions of torch-tensorrt.

The child process is the real one but for its compile step; of the GPU's part only the runner of a
loaded engine is replaced. What a GPU alone can prove is in test_gpu.py.
"""

import inspect
import os
import pickle
import signal
import subprocess
import sys
import time
import types
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch

from enet_ros.backends import cuda
from enet_ros.backends import select as backends
from enet_ros.backends.base import BackendError, BackendRequest
from enet_ros.backends.cache import read_file, write_file
from enet_ros.backends.select import open_backend
from enet_ros.backends.tensorrt import backend as trt
from enet_ros.backends.tensorrt import build as tensorrt_build
from enet_ros.backends.tensorrt.build import BuildRequest, compile_arguments
from enet_ros.backends.torch import TorchBackend
from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import read_checkpoint, weights_path

SIZE = (96, 64)
ORIN = trt.Machine('Orin', (8, 7), 16, '2.8.0', '12.6', '10.3.0', '2.8.0')
WAIT_SEC = 60.0  # a child imports NumPy; other work may have the cores

#: The child: all of it real but the compile step, which waits while the file GATE exists.
CHILD = """
import sys, time
from pathlib import Path
from enet_ros.backends.tensorrt import build as tensorrt_build

def compile_engine(request, folder):
    (folder / 'half').write_bytes(b'half an engine')
    tensorrt_build.say('compiling')
    while Path({gate!r}).exists():
        time.sleep(0.02)
    {step}
    return b'engine {share}'

tensorrt_build.compile_engine = compile_engine
sys.exit(tensorrt_build.main())
"""


@pytest.fixture(scope='module')
def checkpoint():
    return read_checkpoint(weights_path(''))


@pytest.fixture(scope='module')
def request_(checkpoint):
    return BackendRequest(checkpoint, SIZE)


@pytest.fixture(scope='module')
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, SIZE[1], SIZE[0], 3), np.uint8)


class FakeRunner:
    """Gives torch's labels, but for a share of the pixels."""

    def __init__(self, request, share):
        self._torch, self.share, self.calls = TorchBackend(request), share, 0

    def __call__(self, frames):
        self.calls += 1
        labels, probability = self._torch.infer(frames, confidence=True)
        wrong = round((1.0 - self.share) * labels[0].size)
        labels.reshape(len(labels), -1)[:, :wrong] ^= 1
        return [labels, probability]


class Gpu:
    """A machine with a GPU, as far as the backend can tell, and the children it starts."""

    def __init__(self, folder, monkeypatch, request):
        self.folder, self.gate, self.cache = folder, folder / 'gate', folder / 'cache'
        self.request, self.runners, self._monkeypatch = request, [], monkeypatch
        monkeypatch.setenv('ENET_ROS_CACHE', str(self.cache))
        monkeypatch.setattr(trt, 'cuda_device_count', lambda: 1)
        monkeypatch.setattr(backends, 'cuda_device_count', lambda: 1)
        monkeypatch.setattr(trt, 'find_spec', lambda name: True)
        monkeypatch.setattr(backends, 'find_spec', lambda name: True)
        monkeypatch.setattr(trt, 'describe_machine', lambda: ORIN)
        monkeypatch.setattr(trt, 'load_engine', self._load)
        self.builds()

    def builds(self, share=1.0, step='pass'):
        """Say what the child's compile step does."""
        script = self.folder / 'child.py'
        script.write_text(CHILD.format(gate=str(self.gate), share=share, step=step))
        self._monkeypatch.setattr(trt, 'BUILD_COMMAND', [sys.executable, str(script)])

    def _load(self, content, folder, shape):
        assert content.startswith(b'engine '), content
        width, height = self.request.resolution
        assert shape == (self.request.batch, height, width, 3)
        self.runners.append(FakeRunner(self.request, float(content.split()[1])))
        return self.runners[-1]

    def open(self, **changes):
        return trt.TensorRtBackend(replace(self.request, **changes))

    def engines(self):
        return sorted(self.cache.glob('*.engine'))


@pytest.fixture
def gpu(tmp_path, monkeypatch, request_):
    return Gpu(tmp_path, monkeypatch, request_)


def until(condition, what):
    deadline = time.monotonic() + WAIT_SEC
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# Keys


@pytest.mark.parametrize('change', [
    {'gpu': 'Thor'}, {'capability': (8, 6)}, {'multiprocessors': 8}, {'torch': '2.9.0'},
    {'cuda': '13.0'}, {'tensorrt': '10.4.0'}, {'torch_tensorrt': '2.9.0'}])
def test_a_key_differs_with_everything_of_the_machine(request_, change):
    assert trt.engine_name(ORIN, request_, False) == trt.engine_name(
        replace(ORIN), replace(request_), False)
    assert trt.engine_name(ORIN, request_, False) != trt.engine_name(
        replace(ORIN, **change), request_, False)


def test_a_key_differs_with_everything_of_the_request(request_, checkpoint):
    tensors = dict(checkpoint.tensors)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + np.float16(0.5)
    others = [{'resolution': SIZE[::-1]}, {'batch': 2},
              {'checkpoint': replace(checkpoint, tensors=tensors)},
              {'checkpoint': replace(checkpoint, temperature=9.0)},
              {'checkpoint': replace(checkpoint, mean=(0.1, 0.2, 0.3))}]
    names = {trt.engine_name(ORIN, replace(request_, **other), confidence)
             for other in [{}, *others] for confidence in (False, True)}
    assert len(names) == 2 * (1 + len(others))


@pytest.mark.parametrize('version', ['ENGINE_VERSION', 'GRAPH_VERSION'])
def test_a_key_differs_with_our_own_versions(request_, monkeypatch, version):
    before = trt.engine_name(ORIN, request_, False)
    monkeypatch.setattr(trt, version, 999)
    assert trt.engine_name(ORIN, request_, False) != before


# Building, and torch meanwhile


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


# Interruption


def kill_in_the_middle(gpu, number):
    """Start a build and end the child while it compiles; returns the backend."""
    gpu.gate.touch()
    backend = gpu.open()
    until(lambda: 'compiling' in backend.status(), backend.status())
    os.kill(backend._supply._child.pid, number)
    until(lambda: 'failed' in backend.status(), backend.status())
    gpu.gate.unlink()
    return backend


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_build_leaves_no_file_and_the_next_start_builds_again(
        gpu, frames, number):
    backend = kill_in_the_middle(gpu, number)
    assert f'signal {number:d}' in backend.status()
    assert not gpu.engines()
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])  # torch goes on
    again = gpu.open()
    assert again.wait(timeout_sec=WAIT_SEC)
    assert [path.suffix for path in sorted(gpu.cache.iterdir())] == ['.engine', '.lock']


def test_a_child_can_be_interrupted_though_its_parent_blocks_signals(gpu):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        assert 'signal 15' in kill_in_the_middle(gpu, signal.SIGTERM).status()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def test_dropping_the_backend_ends_the_build(gpu):
    def child_of_a_dropped_backend():
        backend = gpu.open()
        until(lambda: 'compiling' in backend.status(), backend.status())
        return backend._supply._child

    gpu.gate.touch()
    child = child_of_a_dropped_backend()
    until(lambda: child.poll() is not None, 'the child lives on')
    assert child.returncode == -signal.SIGKILL


def test_the_build_ends_with_a_parent_that_is_killed(gpu, request_):
    """As a node that is killed, or that exits without Python's own finalisation."""
    gpu.gate.touch()
    path = gpu.folder / 'parents.engine'
    code = ('import os, pickle, subprocess, sys, time\n'
            'child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE,\n'
            '                         stdout=subprocess.DEVNULL)\n'
            'request = pickle.load(sys.stdin.buffer)\n'
            'object.__setattr__(request, "parent", os.getpid())\n'
            'pickle.dump(request, child.stdin); child.stdin.close()\n'
            'print(child.pid, flush=True); time.sleep(100)\n')
    parent = subprocess.Popen([sys.executable, '-c', code, *trt.BUILD_COMMAND],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pickle.dump(BuildRequest(request_.checkpoint, SIZE, 1, False, path), parent.stdin)
    parent.stdin.close()
    pid = int(parent.stdout.readline())
    until((gpu.folder / '.build-parents').exists, 'no build began')
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(pid), 'the child lives on')
    assert not path.exists()


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_a_build_that_fails_says_why_and_torch_goes_on(gpu, frames):
    gpu.builds(step="raise RuntimeError('no kernel for\\nlayer 7')")
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert backend.status() == ('labels: failed: RuntimeError: no kernel for layer 7 '
                                '(torch serves the frames)')
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])
    assert not gpu.engines()


def test_a_compiler_that_crashes_takes_only_the_child_with_it(gpu, frames):
    gpu.builds(step='import os; os.abort()')
    backend = gpu.open()
    assert not backend.wait(timeout_sec=WAIT_SEC)
    assert 'signal 6' in backend.status()
    assert backend.infer(frames)[0].shape == (3, SIZE[1], SIZE[0])


def test_two_processes_build_one_engine_once(tmp_path, request_, monkeypatch):
    """The second waits for the lock, and finds the file."""
    made = []

    def compile_engine(request, folder):
        made.append(request)
        write_file(request.path, b'engine 1.0')  # as if the other had finished meanwhile
        return b'engine 1.0'

    monkeypatch.setattr(tensorrt_build, 'compile_engine', compile_engine)
    request = BuildRequest(request_.checkpoint, SIZE, 1, False, tmp_path / 'a.engine')
    tensorrt_build.build(request)
    tensorrt_build.build(request)
    assert len(made) == 1
    assert read_file(request.path) == b'engine 1.0'


# Files that must not be used


def built_once(gpu):
    assert gpu.open().wait(timeout_sec=WAIT_SEC)
    [path] = gpu.engines()
    gpu.runners.clear()
    return path


@pytest.mark.parametrize('damage', [
    lambda content: content[:-1] + bytes([content[-1] ^ 1]), lambda content: content[:20],
    lambda content: b'', lambda content: b'something else altogether' * 100])
def test_a_damaged_file_is_not_loaded_but_built_again(gpu, damage):
    path = built_once(gpu)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    backend = gpu.open()
    assert not gpu.runners
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert 'after it was built' in backend.status()
    assert path.read_bytes() == whole


def test_another_users_file_is_not_loaded_but_built_again(gpu):
    path = built_once(gpu)
    if os.getuid() != 0:
        pytest.skip('only root can give files away')
    os.chown(path, 12345, -1)
    backend = gpu.open()
    assert not gpu.runners
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert path.stat().st_uid == os.getuid()


def test_a_folder_that_others_may_write_is_not_used(gpu):
    built_once(gpu)
    gpu.cache.chmod(0o777)
    backend = gpu.open()
    assert not gpu.runners
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert 'after it was built' in backend.status()


def test_a_whole_file_that_does_not_load_is_built_again(gpu):
    path = built_once(gpu)
    write_file(path, b'made by another TensorRT')
    backend = gpu.open()
    assert backend.wait(timeout_sec=WAIT_SEC)
    assert read_file(path) == b'engine 1.0'


# Agreement


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


# Choosing the backend


def test_auto_prefers_tensorrt_where_it_works(gpu):
    backend, choice = open_backend('auto', gpu.request)
    assert backend.name == 'tensorrt'
    assert choice.startswith('backend tensorrt, float16 on Orin: there is a CUDA device')


def test_auto_takes_torch_where_tensorrt_cannot(gpu, monkeypatch):
    monkeypatch.setitem(backends.OPENERS, 'torch', lambda request: TorchBackend(
        replace(request, needs_cuda=False)))  # one that sees the GPU
    backend, choice = open_backend('auto', replace(gpu.request, precision='float32'))
    assert backend.name == 'torch'
    assert 'tensorrt: precision float32: tensorrt runs float16' in choice


def test_without_a_gpu_the_error_says_so(request_, monkeypatch):
    monkeypatch.setattr(trt, 'cuda_device_count', lambda: 0)
    monkeypatch.setattr(backends, 'cuda_device_count', lambda: 0)
    with pytest.raises(BackendError) as error:
        open_backend('tensorrt', request_)
    assert str(error.value) == ("backend 'tensorrt' is not available: no CUDA device; "
                                'possible here: auto, openvino, torch')


def test_without_torch_tensorrt_the_error_says_so(gpu, monkeypatch):
    monkeypatch.setattr(trt, 'find_spec', lambda name: None)
    monkeypatch.setattr(backends, 'find_spec', lambda name: None)
    with pytest.raises(BackendError, match='torch_tensorrt is not installed.*possible here: '
                                           'auto, openvino, torch$'):
        open_backend('tensorrt', gpu.request)


# Versions of torch-tensorrt


def compile_2_8(exported_program, inputs=None, *, device=None, enabled_precisions=None,
                min_block_size=5, require_full_compilation=False, immutable_weights=True,
                timing_cache_path='/tmp/timing_cache.bin', cache_built_engines=False,
                reuse_cached_engines=False, use_explicit_typing=False, **kwargs):
    """The signature and the check of v2.8.0, py/torch_tensorrt/dynamo/_compiler.py."""
    if use_explicit_typing and enabled_precisions not in (None, {torch.float32}):
        raise AssertionError('use_explicit_typing was set to True')
    assert use_explicit_typing
    return built(exported_program, inputs, locals(), 'build_serialized_network')


def compile_newest(exported_program, inputs=None, *, device=None, min_block_size=5,
                   require_full_compilation=False, immutable_weights=True,
                   timing_cache_path='/tmp/timing_cache.bin', cache_built_engines=False,
                   reuse_cached_engines=False, **kwargs):
    """The signature of 2.13 and of 2.14: typed by the module, unknown arguments are swallowed."""
    assert not kwargs
    return built(exported_program, inputs, locals(), 'build_engine_with_config')


def built(program, inputs, given, method):
    """Do what both do: hand a network to TensorRT."""
    import tensorrt
    assert given['require_full_compilation'] and given['min_block_size'] == 1
    assert '/tmp/timing_cache' not in given['timing_cache_path'] or 'pytest' in given[
        'timing_cache_path']
    floating = {node.meta['val'].dtype for node in program.graph.nodes
                if isinstance(node.meta.get('val'), torch.Tensor)
                and node.meta['val'].is_floating_point()}
    assert floating == {torch.float16}
    assert inputs[0].dtype == torch.float16 and inputs[0].shape == (2, SIZE[1], SIZE[0], 3)
    return getattr(tensorrt.Builder(), method)(Network(tensorrt.precision), None)


class Network:
    """Of one convolution and one float32 constant, as TensorRT's bindings show them."""

    num_layers = 2

    def __init__(self, precision):
        self._kinds = [('CONVOLUTION', precision), ('CONSTANT', 'FLOAT')]

    def get_layer(self, i):
        kind, precision = self._kinds[i]
        output = types.SimpleNamespace(dtype=types.SimpleNamespace(name=precision))
        return types.SimpleNamespace(type=types.SimpleNamespace(name=kind),
                                     get_output=lambda index: output)


def empty_module(name):
    """Make a module that importlib.util.find_spec, which torch asks, finds."""
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    return module


@pytest.fixture
def libraries(monkeypatch):
    """Put fake libraries in place; give what makes them of a version."""
    def install(compile_function, precision='HALF'):
        builder = type('Builder', (), {name: lambda self, network, config: b'plan' for name in (
            'build_serialized_network', 'build_engine_with_config')})
        tensorrt, library = empty_module('tensorrt'), empty_module('torch_tensorrt')
        tensorrt.Builder, tensorrt.precision = builder, precision
        library.dynamo = types.SimpleNamespace(compile=compile_function)
        library.save = lambda module, path, *, inputs: Path(path).write_bytes(b'saved ' + module)
        monkeypatch.setitem(sys.modules, 'tensorrt', tensorrt)
        monkeypatch.setitem(sys.modules, 'torch_tensorrt', library)
        monkeypatch.setattr(tensorrt_build, 'DEVICE', 'cpu')
        return builder
    return install


@pytest.mark.parametrize('function', [compile_2_8, compile_newest])
def test_the_compile_step_fits_each_signature(libraries, checkpoint, tmp_path, capsys, function):
    builder = libraries(function)
    originals = dict(vars(builder))
    request = BuildRequest(checkpoint, SIZE, 2, True, tmp_path / 'a.engine')
    assert tensorrt_build.compile_engine(request, tmp_path) == b'saved plan'
    assert 'enet_ros: of the convolutions are 1 half' in capsys.readouterr().out
    assert dict(vars(builder)) == originals


def test_an_engine_that_is_not_in_half_precision_is_refused(libraries, checkpoint, tmp_path):
    libraries(compile_newest, precision='FLOAT')
    request = BuildRequest(checkpoint, SIZE, 2, False, tmp_path / 'a.engine')
    with pytest.raises(tensorrt_build.BuildError, match='1 float, wanted half alone'):
        tensorrt_build.compile_engine(request, tmp_path)


def test_arguments_are_chosen_by_signature():
    old = compile_arguments(inspect.signature(compile_2_8).parameters)
    assert old['use_explicit_typing'] is True
    assert 'enabled_precisions' not in old
    new = compile_arguments(inspect.signature(compile_newest).parameters)
    assert {'use_explicit_typing', 'enabled_precisions'}.isdisjoint(new)
    before_typing = compile_arguments({'enabled_precisions', 'min_block_size'})
    assert before_typing == {'enabled_precisions': {torch.float16}, 'min_block_size': 1}


def test_unknown_types_are_said_and_not_refused(capsys):
    tensorrt_build.check_types(Counter())
    assert 'not known' in capsys.readouterr().out


# The runner of a loaded engine


@pytest.fixture
def on_the_processor(monkeypatch):
    """Let CudaRunner run without a GPU: plain memory, no stream, and no CUDA graph."""
    nothing = dict.fromkeys(('synchronize', 'wait_stream', 'record_event', 'wait_event'),
                            lambda *arguments: None)
    stream = types.SimpleNamespace(**nothing)
    monkeypatch.setattr(cuda, 'DEVICE', 'cpu')
    monkeypatch.setattr(cuda, 'new_pinned', lambda shape, dtype: torch.zeros(shape, dtype=dtype))
    monkeypatch.setattr(torch.cuda, 'Stream', lambda: stream)
    monkeypatch.setattr(torch.cuda, 'stream', lambda stream: nullcontext())
    monkeypatch.setattr(torch.Tensor, 'record_stream', lambda tensor, stream: None)


@pytest.mark.parametrize('confidence', [False, True])
def test_the_runner_gives_what_torch_gives(on_the_processor, request_, checkpoint, frames,
                                           confidence):
    graph = build_graph(checkpoint, confidence=confidence, label_dtype=torch.int32)
    runner = cuda.CudaRunner(graph, (2, SIZE[1], SIZE[0], 3))
    first = runner(frames[:2])
    second = runner(frames[2:])  # one frame in a call of two
    labels, probability = TorchBackend(request_).infer(frames, confidence=True)
    assert first[0].dtype == np.uint8
    assert np.mean(np.concatenate([first[0], second[0]]) == labels) > 0.999
    assert len(first) == 1 + confidence
    if confidence:
        assert second[1].dtype == np.float32
        assert np.abs(second[1] - probability[2:]).max() < 1e-3


@pytest.mark.parametrize('confidence', [False, True])
def test_the_runner_cuts_a_batch_and_fills_the_last_part(on_the_processor, request_, checkpoint,
                                                         frames, confidence):
    graph = build_graph(checkpoint, confidence=confidence)
    runner = cuda.CudaRunner(graph, (2, SIZE[1], SIZE[0], 3))
    results = runner(frames)
    single = [runner(frames[i:i + 1]) for i in range(3)]
    for result, parts in zip(results, zip(*single), strict=True):
        assert len(result) == 3
        assert np.mean(result == np.concatenate(parts)) > 0.999


def test_a_program_that_was_saved_and_loaded_gives_what_torch_gives(
        on_the_processor, monkeypatch, request_, checkpoint, frames, tmp_path):
    """By torch.export itself, which is what torch_tensorrt.save and load use."""
    graph = build_graph(checkpoint, confidence=True, label_dtype=torch.int32)
    with torch.no_grad():
        program = torch.export.export(graph, (torch.from_numpy(frames[:1]).half(),))
    torch.export.save(program, tmp_path / 'a.pt2')
    library = empty_module('torch_tensorrt')
    library.load, library.runtime = torch.export.load, types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, 'torch_tensorrt', library)
    runner = trt.load_engine((tmp_path / 'a.pt2').read_bytes(), tmp_path,
                             (1, SIZE[1], SIZE[0], 3))
    labels, probability = runner(frames[:1])
    wanted, wanted_probability = TorchBackend(request_).infer(frames[:1], confidence=True)
    assert np.mean(labels == wanted) > 0.999
    assert np.abs(probability - wanted_probability).max() < 1e-3


class Engine:
    """As the runtime shows it on a loaded program."""

    use_pre_allocated_outputs = False


class Loaded(torch.nn.Module):
    """A loaded program: its engine is a plain attribute."""

    def __init__(self):
        super().__init__()
        self.engine = Engine()
        self.part = torch.nn.Module()
        self.part.engine = Engine()


@pytest.mark.parametrize('has_graphs', [True, False])
def test_a_loaded_engine_takes_the_fast_path_where_there_is_one(
        on_the_processor, monkeypatch, tmp_path, has_graphs):
    modes, seen, module = [], [], Loaded()
    runtime = types.SimpleNamespace(**{'set_cudagraphs_mode': modes.append} if has_graphs else {})
    library = empty_module('torch_tensorrt')
    library.runtime = runtime

    def load(path):
        seen.append(Path(path).read_bytes())
        return types.SimpleNamespace(module=lambda: module)

    library.load = load
    monkeypatch.setitem(sys.modules, 'torch_tensorrt', library)
    trt.load_engine(b'saved', tmp_path, (1, SIZE[1], SIZE[0], 3))
    assert seen == [b'saved']
    assert modes == [True] * has_graphs
    assert module.engine.use_pre_allocated_outputs and module.part.engine.use_pre_allocated_outputs
    assert not list(tmp_path.iterdir())


# In the node


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
    node.wait(lambda: 'labels: engine loaded after it was built' in engine(), 'the switch-over')
