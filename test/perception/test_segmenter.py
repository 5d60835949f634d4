"""Frames in, labels out: sizes, batches, backends, and how far they agree."""

import os
import platform
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enet_ros.backends.base import BackendError, canonical_precision
from enet_ros.backends.cache import cache_folder, read_cached, write_cached
from enet_ros.backends.select import open_backend
from enet_ros.machine import processor_flags, read_text
from enet_ros.media import list_images, read_image
from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.resolution import check_resolution
from enet_ros.perception.resize import resize_frame, resize_labels
from enet_ros.perception.segmenter import Segmenter

SPIN = 'OPENCV_THREAD_POOL_ACTIVE_WAIT_WORKER'

SMALL = (160, 96)
SIZES = [(160, 96), (320, 240), (97, 61), (33, 200)]


@pytest.fixture(scope='module')
def segmenter():
    return Segmenter.from_file(resolution=SMALL, precision='float32')


@pytest.fixture(scope='module')
def validation(shared):
    """Every tenth CamVid validation frame."""
    return [read_image(path) for path in list_images(shared / 'camvid' / 'val')[::10]]


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def test_frames_of_different_sizes_in_one_call(segmenter, road_frame):
    frames = [resize_frame(road_frame, size) for size in SIZES]
    together = segmenter.segment(frames, confidence=True)
    for frame, size, result in zip(frames, SIZES, together):
        assert result.labels.shape == result.confidence.shape == size[::-1]
        assert (result.labels.dtype, result.confidence.dtype) == (np.uint8, np.float32)
        assert result.labels.max() < 11
        assert 0.0 < result.confidence.min() <= result.confidence.max() <= 1.0
        alone = segmenter.segment([frame])[0]
        assert alone.confidence is None
        assert np.mean(alone.labels == result.labels) > 0.999


def test_no_frames_give_no_results(segmenter):
    assert segmenter.segment([]) == []


@pytest.mark.parametrize('kind', [np.stack, iter])
def test_frames_may_be_an_array_or_come_one_by_one(segmenter, road_frame, kind):
    first, second = segmenter.segment(kind([road_frame, road_frame[::-1]]))
    assert np.array_equal(first.labels, segmenter.segment([road_frame])[0].labels)
    assert np.array_equal(second.labels, segmenter.segment([road_frame[::-1]])[0].labels)


def test_the_name_of_weights_is_no_checkpoint():
    with pytest.raises(TypeError, match=r'checkpoint is str, wanted a Checkpoint.*from_file'):
        Segmenter('enet_road')


@pytest.mark.parametrize('frame', [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8),
    np.zeros((4, 4, 4), np.uint8), None])
def test_refuses_what_is_no_frame(segmenter, frame):
    with pytest.raises(ValueError, match='wanted uint8'):
        segmenter.segment([frame])


@pytest.mark.parametrize(('resolution', 'message'), [
    ((642, 360), 'resolution is 642x360, wanted width and height in multiples of 8, '
                 'such as 640x360'),
    ((0, 8), 'resolution is 0x8'), ((8,), 'resolution is 8,'), ((-8, 8), 'resolution is -8x8'),
    ((80000, 80000), 'at most 64 MP'),
])
def test_refuses_resolutions(resolution, message):
    with pytest.raises(ValueError, match=message):
        check_resolution(resolution)


@pytest.mark.parametrize(('backend', 'precision', 'message'), [
    ('tpu', 'auto', "backend is 'tpu', wanted one of auto, openvino, tensorrt, torch, triton"),
    ('openvino', 'float8', "precision is 'float8'"),
    ('openvino', 'float16', 'openvino on a CPU runs float32'),
    ('torch', 'float16', "'torch' is not available.*possible here: auto, openvino, torch"),
    ('auto', 'int8', '^precision int8 is not possible here: openvino: the weights have no int8 '
                     'graph; make one for .*; torch: torch on cpu runs float32, bfloat16$'),
    ('auto', 'float16', '^precision float16 is not possible here: openvino: openvino on a CPU '),
    ('tensorrt', 'auto', "backend 'tensorrt' is not available: no CUDA device; possible here: "
                         'auto, openvino, torch'),
])
def test_refuses_backends_and_says_what_is_possible(backend, precision, message):
    import torch
    if backend in ('auto', 'torch', 'tensorrt') and torch.cuda.is_available():
        pytest.skip('CUDA runs float16, and tensorrt')
    with pytest.raises(BackendError, match=message):
        Segmenter.from_file(resolution=SMALL, backend=backend, precision=precision)


def test_auto_says_what_it_picked_and_why(segmenter):
    automatic = Segmenter.from_file(resolution=SMALL)
    assert automatic.choice.startswith(f'backend {automatic.backend.name}, '
                                       f'{automatic.backend.precision} on ')
    assert 'no CUDA device' in automatic.choice or 'there is a CUDA device' in automatic.choice


@pytest.mark.parametrize('kind', [RuntimeError, OSError])  # OSError: a library lacks another
def test_auto_falls_back_to_what_works_and_says_why(monkeypatch, kind):
    from enet_ros.backends import select as backends

    def broken(request):
        raise kind('no such instruction')

    monkeypatch.setitem(backends.OPENERS, 'openvino', broken)
    found = Segmenter.from_file(resolution=SMALL)
    assert found.backend.name == 'torch'
    assert 'openvino: no such instruction' in found.choice
    monkeypatch.setitem(backends.OPENERS, 'torch', broken)
    with pytest.raises(BackendError, match='openvino: no such instruction; torch: no such'):
        Segmenter.from_file(resolution=SMALL)


def test_auto_does_not_take_a_torch_without_cuda_for_the_cuda_device(monkeypatch):
    import torch

    from enet_ros.backends import select as backends

    def broken(request):
        raise RuntimeError('no such instruction')

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(backends, 'cuda_device_count', lambda: 1)
    monkeypatch.setattr(backends, 'has_tensorrt', lambda: False)
    refused = f'torch: torch {torch.__version__} does not see the CUDA device'
    found = Segmenter.from_file(resolution=SMALL)
    assert found.backend.name == 'openvino'
    assert found.choice.endswith(f': it is the fastest on a CPU; {refused}')
    assert Segmenter.from_file(resolution=SMALL, backend='torch').choice == (
        'backend torch, float32 on the CPU: it was asked for')
    monkeypatch.setitem(backends.OPENERS, 'openvino', broken)
    assert Segmenter.from_file(resolution=SMALL).choice == (
        f'backend torch, float32 on the CPU: the last resort; {refused}; '
        'openvino: no such instruction')


def test_auto_gives_a_reason_once(monkeypatch):
    from enet_ros.backends import select as backends

    def broken(request):
        raise RuntimeError('no such instruction')

    monkeypatch.setattr(backends, 'cuda_device_count', lambda: 1)
    monkeypatch.setattr(backends, 'has_tensorrt', lambda: False)
    for name in ('openvino', 'torch'):
        monkeypatch.setitem(backends.OPENERS, name, broken)
    with pytest.raises(BackendError, match='available: torch: no such instruction; '
                                           'openvino: no such instruction$'):
        Segmenter.from_file(resolution=SMALL)


@pytest.mark.parametrize(('written', 'meant'), [
    ('bf16', 'bfloat16'), ('F32', 'float32'), ('half', 'float16'), ('auto', 'auto')])
def test_precisions_have_short_names(written, meant):
    assert canonical_precision(written) == meant


def test_backends_agree_in_float32(validation):
    """On 99.99 % of pixels, as DESIGN asks; labels and confidence."""
    results = [Segmenter.from_file(resolution=(480, 360), backend=name, precision='float32')
               .segment(validation, confidence=True) for name in ('openvino', 'torch')]
    labels, confidence = (
        [np.stack([getattr(r, field) for r in result]) for result in results]
        for field in ('labels', 'confidence'))
    assert np.mean(labels[0] == labels[1]) >= 0.9999
    assert np.abs(confidence[0] - confidence[1]).max() < 0.05


@pytest.mark.parametrize('backend', ['openvino', 'torch'])
def test_bfloat16_agrees_with_float32(validation, backend):
    """On 99.5 % of pixels: docs/decisions/0005-precision.md has the measured figures."""
    options = {'resolution': (480, 360), 'backend': backend}
    try:
        half = Segmenter.from_file(precision='bfloat16', **options)
    except BackendError as error:
        pytest.skip(str(error))
    full = Segmenter.from_file(precision='float32', **options)
    same = [np.mean(a.labels == b.labels) for a, b in zip(half.segment(validation),
                                                          full.segment(validation))]
    assert np.mean(same) >= 0.995


def test_a_class_that_means_unlabeled_is_unknown(road_frame):
    checkpoint = read_checkpoint(weights_path(''))
    names = ['Unlabeled' if name == 'Sky' else name for name in checkpoint.class_map.names]
    plain = Segmenter(checkpoint, SMALL, precision='float32')
    other = Segmenter(replace(checkpoint, class_map=ClassMap.from_names(names)), SMALL,
                      precision='float32')
    before, after = (s.segment([road_frame], confidence=True)[0] for s in (plain, other))
    sky = before.labels == 0
    assert sky.any()
    assert (after.labels[sky] == UNKNOWN).all()
    assert (after.confidence[sky] == 0.0).all()
    assert np.array_equal(after.labels[~sky], before.labels[~sky])


def test_the_compiled_network_is_cached_and_a_damaged_file_is_rebuilt(
        monkeypatch, tmp_path, road_frame):
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))
    options = {'resolution': SMALL, 'backend': 'openvino', 'precision': 'float32'}
    first = Segmenter.from_file(**options)
    assert not first.backend.from_cache
    assert Segmenter.from_file(**options).backend.from_cache
    [file] = (tmp_path / 'cache').iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    third = Segmenter.from_file(**options)
    assert not third.backend.from_cache
    assert np.array_equal(third.segment([road_frame])[0].labels,
                          first.segment([road_frame])[0].labels)


def test_the_cache_is_the_users_alone(monkeypatch, tmp_path):
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))
    assert write_cached('a', b'content')
    assert read_cached('a') == b'content'
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    cache_folder().chmod(0o777)
    assert cache_folder() is None
    assert read_cached('a') is None
    assert not write_cached('b', b'content')


def test_a_cached_file_that_cannot_be_written_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path))
    assert write_cached('a', b'content')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as if the disk were full
    try:
        assert not write_cached('a', bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.name for file in tmp_path.iterdir()] == ['a']
    assert read_cached('a') == b'content'


def test_a_user_without_a_home_has_the_cache_that_is_named_or_none(monkeypatch, tmp_path):
    def no_home():
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.setattr(Path, 'home', no_home)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))
    assert cache_folder() == tmp_path / 'cache'
    monkeypatch.delenv('ENET_ROS_CACHE')
    assert cache_folder() is None
    assert read_cached('a') is None and not write_cached('a', b'content')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'enet_ros'


def test_other_weights_resolution_or_precision_never_share_a_cached_network(
        monkeypatch, tmp_path):
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))
    checkpoint = read_checkpoint(weights_path(''))
    Segmenter(checkpoint, SMALL, 'openvino', 'float32')
    for other in (Segmenter(checkpoint, (96, 160), 'openvino', 'float32'),
                  Segmenter(replace(checkpoint, mean=(0.1, 0.2, 0.3)), SMALL, 'openvino',
                            'float32')):
        assert not other.backend.from_cache


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_resized_labels_are_those_of_the_nearest_pixel_center(width, height, by_x, by_y):
    label_map = noise((width, height))[..., 0]
    larger = resize_labels(label_map, (width * by_x, height * by_y))
    assert np.array_equal(larger, label_map.repeat(by_y, 0).repeat(by_x, 1))


def test_resizing_is_centered():
    """Down and up by any ratio keeps the middle of a symmetric picture where it is."""
    ramp = np.abs(np.arange(90) - 44.5).astype(np.uint8)[None].repeat(9, 0)
    for width in (30, 40, 60, 90, 135, 180, 271):
        stretched = resize_labels(ramp, (width, 9)).astype(int)
        assert np.abs(stretched - stretched[:, ::-1]).max() <= 1


def test_open_backend_is_the_only_way_in():
    with pytest.raises(BackendError, match='wanted one of'):
        open_backend('', None)


@pytest.mark.parametrize(('own', 'expected'), [({}, '0'), ({SPIN: '7'}, '7')])
def test_opencv_is_told_not_to_spin_before_it_is_loaded(own, expected):
    """Its threads would take a core from the network for a millisecond after each resize."""
    environment = {k: v for k, v in os.environ.items() if k != SPIN} | own
    code = ('import sys\n'
            'import enet_ros\n'
            "assert 'cv2' not in sys.modules\n"
            'import os, enet_ros.perception.segmenter\n'
            "assert 'cv2' in sys.modules\n"
            f"print(os.environ['{SPIN}'])")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          env=environment, timeout=60)
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(('properties', 'expected'), [
    (['TBB_PARTITIONER', 'NUM_STREAMS'], 'AUTO'), (['NUM_STREAMS'], None)])
def test_openvino_shares_work_out_anew_where_it_can(monkeypatch, properties, expected):
    """So that a thread takes over from one that is interrupted; older versions cannot."""
    ov = pytest.importorskip('openvino')
    from enet_ros.backends import openvino as openvino_backend

    class Core(ov.Core):
        def get_property(self, *names):
            return properties if names[-1] == 'SUPPORTED_PROPERTIES' else super().get_property(
                *names)

    monkeypatch.setattr(openvino_backend.ov, 'Core', Core)
    backend = Segmenter.from_file(resolution=(64, 32), backend='openvino',
                                  precision='float32').backend
    assert backend._config().get('TBB_PARTITIONER') == expected


def narrow_and_wide(model):
    """Name the primitives of a compiled model's convolutions: of narrow windows, and the rest."""
    kinds = {True: set(), False: set()}
    for op in model.get_runtime_model().get_ordered_ops():
        if op.get_rt_info()['layerType'].astype(str) == 'Convolution':
            narrow = 1 in list(op.input_value(1).shape)[-2:]
            kinds[narrow].add(op.get_rt_info()['primitiveType'].astype(str))
    return kinds[True], kinds[False]


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='names a convolution of x86 processors')
def test_narrow_convolutions_alone_are_the_preferred_ones(road_frame):
    ov = pytest.importorskip('openvino')
    from enet_ros.backends import openvino as openvino_backend
    core, config = ov.Core(), {'INFERENCE_PRECISION_HINT': 'f32'}
    model = openvino_backend.convert_checkpoint(read_checkpoint(weights_path('')), SMALL)
    preferring = openvino_backend.prefer_convolutions(core, model, 'cpu:jit_gemm')
    plain, other = (core.compile_model(m, 'CPU', config) for m in (model, preferring))
    assert not any('gemm' in kind.split('_') for kinds in narrow_and_wide(plain) for kind in kinds)
    narrow, wide = narrow_and_wide(other)
    assert narrow == {'jit_gemm_f32'}
    assert not wide & narrow
    frame = resize_frame(road_frame, SMALL)[None]
    assert np.mean(plain(frame)[0] == other(frame)[0]) > 0.999
    np.testing.assert_allclose(plain(frame)[1], other(frame)[1], atol=1e-3)


@pytest.mark.parametrize(('precision', 'flags', 'wanted'), [
    ('float32', {'avx2'}, False), ('float32', {'avx2', 'avx512f'}, True),
    ('bfloat16', {'avx512f', 'avx512_bf16'}, True), ('int8', {'avx512f'}, True),
    ('bfloat16', {'avx512f', 'amx_tile'}, False), ('int8', {'avx512f', 'amx_tile'}, False),
    ('float32', {'avx512f', 'amx_tile'}, True), ('float32', set(), False)])
def test_convolutions_are_preferred_where_they_were_found_faster(precision, flags, wanted):
    pytest.importorskip('openvino')
    from enet_ros.backends import openvino as openvino_backend
    assert bool(openvino_backend.preferred_convolutions(precision, flags)) == wanted


@pytest.mark.skipif('avx512f' not in processor_flags(read_text('/proc/cpuinfo')),
                    reason='wants a processor with AVX-512')
def test_the_backend_runs_the_preferred_convolutions():
    pytest.importorskip('openvino')
    backend = Segmenter.from_file(resolution=SMALL, backend='openvino',
                                  precision='float32').backend
    narrow, _ = narrow_and_wide(backend._requests[False].get_compiled_model())
    assert 'jit_avx512_1x1_f32' in narrow
    assert not any(kind.startswith('brgconv_avx512_1x1') for kind in narrow)


def test_without_a_temporary_folder_openvino_chooses_by_itself(monkeypatch):
    ov = pytest.importorskip('openvino')
    from enet_ros.backends import openvino as openvino_backend
    model = openvino_backend.convert_checkpoint(read_checkpoint(weights_path('')), (64, 32))

    def missing():
        raise FileNotFoundError('no usable temporary directory')

    monkeypatch.setattr(openvino_backend.tempfile, 'TemporaryDirectory', missing)
    assert openvino_backend.prefer_convolutions(ov.Core(), model, 'cpu:ref') is model
