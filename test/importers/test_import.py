"""Other projects' weights: equal outputs, and nothing hostile gets through."""

import importlib.util
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enet_ros.cli.main import main
from enet_ros.importers.import_checkpoint import import_checkpoint
from enet_ros.importers.pytorch_enet_weights import BLOCKS
from enet_ros.importers.torch7 import Module, read_torch7
from enet_ros.importers.torch7_enet import from_torch7, layout
from enet_ros.network.build import build_network
from enet_ros.network.checkpoint import (
    Checkpoint,
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
)
from enet_ros.network.class_files import default_class_map
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.network.enet import ENet
from enet_ros.network.frame_graph import fold_batch_norm
from enet_ros.network.pytorch_enet import PyTorchENet
from enet_ros.perception.segmenter import Segmenter

REPOSITORY = Path(__file__).resolve().parents[2]
CLASSES = 12

fuzz = settings(deadline=None, max_examples=60,
                suppress_health_check=[HealthCheck.function_scoped_fixture])


class Torch7Writer:
    """Write Python values as Torch7 does."""

    def __init__(self):
        self.count = 0

    def object_start(self, name):
        self.count += 1
        return struct.pack('<ii', 4, self.count) + text('V 1') + text(name)

    def write(self, value):
        if value is None:
            return struct.pack('<i', 0)
        if isinstance(value, bool):
            return struct.pack('<ii', 5, value)
        if isinstance(value, (int, float)):
            return struct.pack('<id', 1, value)
        if isinstance(value, str):
            return struct.pack('<i', 2) + text(value)
        if isinstance(value, dict):
            self.count += 1
            return struct.pack('<iii', 3, self.count, len(value)) + b''.join(
                self.write(key) + self.write(item) for key, item in value.items())
        if isinstance(value, Module):
            return self.object_start(f'nn.{value.kind}') + self.write(value.fields)
        return self.tensor(value)

    def tensor(self, array):
        strides = [stride // array.itemsize for stride in array.strides]
        start = self.object_start('torch.FloatTensor') + struct.pack(
            f'<i{array.ndim}q{array.ndim}qq', array.ndim, *array.shape, *strides, 1)
        return (start + self.object_start('torch.FloatStorage') + struct.pack('<q', array.size)
                + array.astype('<f4').tobytes())


def text(value):
    return struct.pack('<i', len(value)) + value.encode('latin-1')


def as_torch7(value):
    return Torch7Writer().write(value)


def randomized(network, seed=0):
    """Give a network weights and statistics by chance, as if trained; in eval mode."""
    torch.manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.2)
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
        elif isinstance(layer, torch.nn.PReLU):
            torch.nn.init.uniform_(layer.weight, -0.3, 0.6)
    return network.eval()


def arrays_of(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()
            if not name.endswith('num_batches_tracked')}


def as_modules(network, dropout=0.0):
    """Build the Torch7 modules of an ENet, with Identity and dropout as the authors have them."""
    arrays = arrays_of(network)

    def module(wanted):
        inside = [module(child) for child in wanted.inside]
        if [child.kind for child in inside[-2:]] == ['SpatialConvolution',
                                                     'SpatialBatchNormalization']:
            inside.append(Module('SpatialDropout', {'p': dropout}))
        if wanted.kinds[0] == 'Sequential' and not inside:
            inside = [Module('Identity', {})]
        fields = {**wanted.fields, 'train': False,
                  **{name: arrays[f'{wanted.name}.{name}'] for name in wanted.arrays}}
        if inside:
            fields['modules'] = dict(enumerate(inside, start=1))
        return Module(wanted.kinds[0], fields)
    return module(layout(network))


def imported(path, content, class_map=None):
    path.write_bytes(content)
    return import_checkpoint(path, class_map)


@pytest.fixture(scope='module')
def torch7_bytes():
    return as_torch7(as_modules(randomized(ENet(CLASSES))))


# ---- Torch7

@pytest.mark.parametrize('value', [
    None, 2.5, 3, float('inf'), 'text', '', True, False, {}, {1: 'a', 'b': {2: None}, 0.5: False}])
def test_torch7_values_are_read(value):
    assert read_torch7(as_torch7(value)) == value


def test_torch7_tensors_and_references_are_read():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(read_torch7(as_torch7(array)), array)
    itself = struct.pack('<iii', 3, 1, 1) + as_torch7('me') + struct.pack('<ii', 3, 1)
    table = read_torch7(itself)
    assert table['me'] is table


@pytest.mark.parametrize('activation', ['prelu', 'relu'])
def test_torch7_model_is_imported_array_by_array(tmp_path, activation):
    network = randomized(ENet(CLASSES, activation))
    checkpoint = imported(tmp_path / 'model.net', as_torch7(as_modules(network)))
    assert checkpoint.decoder_activation == activation
    assert (checkpoint.mean, checkpoint.std) == ((0, 0, 0), (1, 1, 1))
    wanted = arrays_of(network)
    assert checkpoint.tensors.keys() == wanted.keys()
    for name, array in wanted.items():
        assert np.array_equal(checkpoint.tensors[name], array), name


def test_dropout_of_torch7_scales_a_trained_network(tmp_path):
    network = randomized(ENet(CLASSES))
    found = imported(tmp_path / 'model.net', as_torch7(as_modules(network, dropout=0.25))).tensors
    wanted = arrays_of(network)
    for name in ('stage1.0.norm3.weight', 'stage1.0.norm3.bias'):
        assert np.allclose(found[name], 0.75 * wanted[name])
    for name in ('stage1.0.norm3.running_var', 'stage1.0.norm2.weight'):
        assert np.array_equal(found[name], wanted[name])


def changed(change):
    """Return the modules of an ENet after a change to the first bottleneck's branch."""
    model = as_modules(ENet(CLASSES).eval())
    block = model.fields['modules'][5]
    change(block.fields['modules'][1].fields['modules'][1].fields['modules'], model)
    return as_torch7(model)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda branch, model: branch.pop(8), 'holds 7 modules, this ENet has 8'),
    (lambda branch, model: branch[1].fields.update(kW=5), 'has kW 5, this ENet has 2'),
    (lambda branch, model: branch[2].fields.update(eps=1e-5), 'has eps 1e-05, this ENet has'),
    (lambda branch, model: branch[4].fields.pop('bias'), 'bias is NoneType, wanted a float'),
    (lambda branch, model: branch[1].fields.update(bias=np.ones(16, 'f4')), 'has a bias'),
    (lambda branch, model: branch[3].__setattr__('kind', 'ReLU'), 'this ENet has PReLU there'),
    (lambda branch, model: branch[9].fields.update(p=2), 'has p 2, wanted 0 to 1'),
    (lambda branch, model: branch[3].fields.update(weight=np.ones(5, 'f4')), 'of shape \\(5,\\)'),
    (lambda branch, model: branch[2].fields.update(running_var=-np.ones(16, 'f4')),
     'negative variance'),
    (lambda branch, model: branch[2].fields.update(bias=np.full(16, np.nan, 'f4')), 'not finite'),
    (lambda branch, model: model.fields['modules'].pop(32), 'holds no ENet'),
    (lambda branch, model: branch[9].fields.update(p=0.5)
     or branch.update({8: branch[9], 9: branch[8]}), 'a dropout follows'),
])
def test_another_torch7_network_is_refused(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=f'other.net: .*{message}'):
        imported(tmp_path / 'other.net', changed(change))


def test_no_torch7_tensor_of_another_shape_is_copied():
    giant, model = np.ones(2**20, 'f4'), as_modules(ENet(CLASSES).eval())

    def share(module):
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            if module.fields.get(name) is not None:
                module.fields[name] = giant
        for child in module.children():
            share(child)

    share(model)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r'of shape \(1048576,\), wanted \(13, 3'):
            from_torch7(model)
        assert tracemalloc.get_traced_memory()[1] < giant.nbytes
    finally:
        tracemalloc.stop()


HEAD = struct.pack('<ii', 4, 1) + text('V 1') + text('nn.Sequential')


@pytest.mark.parametrize(('content', 'message'), [
    (HEAD + struct.pack('<iii', 6, 2, 4) + b'\x1bLua', 'a Lua function .* never run'),
    (HEAD + struct.pack('<iii', 8, 2, 4) + b'\x1bLua', 'a Lua recursive function'),
    (struct.pack('<ii', 4, 1) + text('V 1') + text('nn.Evil'), "class 'nn.Evil'"),
    (struct.pack('<ii', 4, 1) + text('nn.Evil'), "class 'nn.Evil'"),
    (HEAD + as_torch7(3), 'holds int, wanted a table'),
    (HEAD + struct.pack('<iii', 3, 2, 2**31 - 1), 'truncated'),
    (HEAD + struct.pack('<iii', 3, 2, -1), 'truncated'),
    (HEAD + struct.pack('<iiiiii', 3, 2, 1, 3, 3, 0) + as_torch7(1), 'key of type dict'),
    (HEAD + struct.pack('<i', 99), 'type 99'),
    (struct.pack('<ii', 4, 1) + text('torch.FloatStorage') + struct.pack('<q', 2**62),
     'truncated'),
    (struct.pack('<ii', 4, 1) + text('torch.FloatTensor') + struct.pack('<i', 1000),
     'has 1000 dimensions'),
    (struct.pack('<ii', 4, 1) + text('torch.FloatTensor') + struct.pack(
        '<iqqqq', 2, 2**40, 2**40, 0, 0) + struct.pack('<q', 1) + as_torch7(None), 'no storage'),
    (struct.pack('<ii', 4, 7) + text('torch.FloatTensor') + struct.pack(
        '<iqqqqq', 2, 2**20, 2**20, 0, 0, 1) + struct.pack('<ii', 4, 8)
     + text('torch.FloatStorage') + struct.pack('<qf', 1, 1), 'does not lie densely'),
    (b'4\n1\n3\nV 1\n', 'begins with'),
    (b'', 'begins with'),
], ids=lambda value: value if isinstance(value, str) else 'file')
def test_hostile_torch7_is_refused(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=f'evil.net: .*({message})'):
        imported(tmp_path / 'evil.net', content)


def test_endless_nesting_is_refused(tmp_path):
    content = HEAD + b''.join(struct.pack('<iii', 3, index, 1) for index in range(2, 5000))
    with pytest.raises(CheckpointError, match='nests deeper'):
        imported(tmp_path / 'deep.net', content)


def test_a_module_inside_itself_is_refused(tmp_path):
    table = struct.pack('<iii', 3, 2, 1) + as_torch7('modules') + struct.pack('<iii', 3, 3, 2)
    inside = b''.join(as_torch7(i) + struct.pack('<ii', 4, 1) for i in (1, 2))
    with pytest.raises(CheckpointError, match='holds no ENet'):
        imported(tmp_path / 'loop.net', HEAD + table + inside)


def outcome(path, content):
    """Import; anything but a checkpoint or a CheckpointError fails, as does a second of work."""
    start = time.process_time()
    try:
        result = imported(path, content)
    except CheckpointError:
        result = None
    assert result is None or isinstance(result, Checkpoint)
    assert time.process_time() - start < 1.0
    return result


@fuzz
@given(st.sampled_from([b'', HEAD, HEAD[:4], b'PK\x03\x04', b'\x80\x02', b'\x80\x04']),
       st.binary(max_size=400))
def test_any_bytes_are_refused(tmp_path, start, content):
    assert outcome(tmp_path / 'noise', start + content) is None


@fuzz
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_torch7_file_is_refused(tmp_path, torch7_bytes, share):
    assert outcome(tmp_path / 'cut', torch7_bytes[:int(share * len(torch7_bytes))]) is None


@fuzz
@given(flips=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_in_torch7_do_no_harm(tmp_path, torch7_bytes, flips):
    outcome(tmp_path / 'flip', flipped(torch7_bytes, flips))


def flipped(content, flips):
    data = bytearray(content)
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    return bytes(data)


# ---- the authors' model

@pytest.fixture(scope='module')
def authors(shared):
    return import_checkpoint(shared / 'weights' / 'enet-model.net')


def test_authors_model_is_read_whole(authors, shared):
    names = (shared / 'weights' / 'enet-classes.txt').read_text().split()
    assert list(authors.class_map.names) == names
    assert authors.class_map.drivable_names == ('Road',)
    assert (authors.resolution, authors.architecture) == ((1024, 512), 'enet')
    assert sum(p.numel() for p in build_network(authors).parameters()) == 364_712


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_authors_model_agrees_with_opencv(authors, shared, capsys):
    """ENET_ROS_IMPORT_FRAMES=20 pytest -s -m slow test/importers prints the figure."""
    if not hasattr(cv2.dnn, 'readNetFromTorch') or cv2.__version__.startswith('5'):
        pytest.skip(f'OpenCV {cv2.__version__} reads no Torch files')
    count = int(os.environ.get('ENET_ROS_IMPORT_FRAMES', '5'))
    oracle = cv2.dnn.readNetFromTorch(str(shared / 'weights' / 'enet-model.net'))
    segmenter = Segmenter(authors, authors.resolution, 'torch', 'float32')
    paths = sorted((shared / 'camvid' / 'val').glob('*.png'))
    agreeing = []
    for path in paths[::len(paths) // count][:count]:
        frame = cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (1024, 512))
        oracle.setInput(cv2.dnn.blobFromImage(frame, 1 / 255))
        wanted = authors.class_map.label_lut()[oracle.forward()[0].argmax(0)]
        agreeing.append(np.mean(segmenter.segment([frame])[0].labels == wanted))
    with capsys.disabled():
        print(f'\n{len(agreeing)} frames: labels agree with OpenCV {cv2.__version__} on '
              f'{100 * np.mean(agreeing):.4f} % of pixels, worst {100 * min(agreeing):.4f} %')
    assert len(agreeing) == count
    assert np.mean(agreeing) >= 0.999


def test_cityscapes_parameters_are_the_imported_class_map():
    content = yaml.safe_load((REPOSITORY / 'config' / 'cityscapes.yaml').read_text())
    parameters = content['/**']['ros__parameters']
    class_map = default_class_map(20)
    assert parameters['resolution'] == [1024, 512]
    assert parameters['class_map'] == {
        name: {'color': list(color), 'drivable': drivable} for name, color, drivable
        in zip(class_map.names, class_map.colors, class_map.drivable)}
    assert class_map.override(parameters['class_map']) == class_map


def test_cityscapes_parameters_fit_the_authors_model(authors):
    assert authors.class_map == default_class_map(20)


# ---- PyTorch-ENet

def as_pytorch_enet(network):
    """Return a state_dict under that project's names."""
    state = dict(network.state_dict())
    theirs = {'transposed_conv.weight': state.pop('fullconv.weight')}
    state.pop('fullconv.bias')
    ours = sorted(((name, block) for block, name in BLOCKS.items() if name), key=len)
    initial = {'initial': 'main_branch', 'norm': 'batch_norm', 'act': 'out_activation'}
    for name, tensor in state.items():
        part, _, rest = name.partition('.')
        if part in initial:
            theirs[f'initial_block.{initial[part]}.{rest}'] = tensor
            continue
        prefix, block = next(pair for pair in ours if name.startswith(pair[0] + '.'))
        theirs[f'{block}.{their_part(block, name[len(prefix) + 1:])}'] = tensor
    return theirs


def their_part(block, part):
    sequence, *rest = part.split('.')
    if sequence == 'act':
        return f'out_activation.{rest[0]}'
    if sequence == 'main':
        return f'main_conv1.{rest[0]}.{rest[1]}'
    place, array = int(rest[0]), rest[1]
    if block.startswith('upsample') and 3 <= place < 6:
        return f'{("ext_tconv1", "ext_tconv1_bnorm", "ext_tconv1_activation")[place - 3]}.{array}'
    starts = (0, 3, 9) if block.startswith('asymmetric') else (0, 3, 6)
    number = max(i for i, start in enumerate(starts) if place >= start)
    last = 'ext_conv2' if block.startswith('upsample') and number == 2 else f'ext_conv{number + 1}'
    return f'{last}.{place - starts[number]}.{array}'


def saved(path, state, **options):
    torch.save({'epoch': 3, 'miou': 0.5, 'state_dict': state}, path, **options)
    return path


@pytest.fixture(scope='module')
def pytorch_network():
    network = randomized(PyTorchENet(CLASSES))
    torch.nn.init.zeros_(network.fullconv.bias)
    return network


@pytest.fixture(scope='module')
def pytorch_bytes(pytorch_network, tmp_path_factory):
    path = tmp_path_factory.mktemp('pth') / 'ENet'
    saved(path, as_pytorch_enet(pytorch_network), _use_new_zipfile_serialization=False)
    return path.read_bytes()


@pytest.mark.parametrize('zipped', [True, False])
def test_pytorch_enet_checkpoint_is_imported(tmp_path, pytorch_network, zipped):
    path = saved(tmp_path / 'ENet', as_pytorch_enet(pytorch_network),
                 _use_new_zipfile_serialization=zipped)
    found = import_checkpoint(path)
    assert (found.architecture, found.decoder_activation) == ('pytorch-enet', 'relu')
    assert found.class_map.names == (*CAMVID_NAMES, 'Unlabeled')
    assert found.resolution == (480, 360)
    write_checkpoint(tmp_path / 'w.safetensors', found, 'float32')
    network = build_network(read_checkpoint(tmp_path / 'w.safetensors'))
    x = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        assert torch.equal(network(x), pytorch_network(x))


def test_an_unknown_architecture_is_refused(tmp_path, pytorch_bytes):
    checkpoint = imported(tmp_path / 'ENet', pytorch_bytes)
    checkpoint.architecture = 'unet'
    with pytest.raises(CheckpointError, match="'architecture' is 'unet', wanted one of enet, py"):
        write_checkpoint(tmp_path / 'w.safetensors', checkpoint)


def test_folding_keeps_the_outputs_of_pytorch_enet(pytorch_network):
    folded = fold_batch_norm(pytorch_network)
    left = [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    x = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.allclose(folded(x), pytorch_network(x), atol=1e-4)
    assert len(left) == 1


def test_imported_pytorch_enet_runs_on_both_backends(tmp_path, pytorch_bytes, road_frame):
    checkpoint = imported(tmp_path / 'ENet', pytorch_bytes)
    labels = [Segmenter(checkpoint, (160, 96), backend, 'float32').segment([road_frame])[0].labels
              for backend in ('torch', 'openvino')]
    assert np.mean(labels[0] == labels[1]) >= 0.999


def test_relu_in_the_encoder_becomes_a_prelu_of_zero(tmp_path, pytorch_network):
    state = {name: tensor for name, tensor in as_pytorch_enet(pytorch_network).items()
             if tensor.shape != (1,)}
    found = import_checkpoint(saved(tmp_path / 'relu.pth', state))
    assert found.tensors['stage2.2.branch.5.weight'] == np.zeros(1)


def test_a_bare_state_dict_of_several_gpus_is_read(tmp_path, pytorch_network):
    state = {f'module.{name}': tensor
             for name, tensor in as_pytorch_enet(pytorch_network).items()}
    torch.save(state, tmp_path / 'bare.pth')
    assert import_checkpoint(tmp_path / 'bare.pth').architecture == 'pytorch-enet'


def test_outputs_equal_the_original_code(tmp_path):
    """ENET_ROS_PYTORCH_ENET names models/enet.py of that repository, run as it is."""
    source = os.environ.get('ENET_ROS_PYTORCH_ENET')
    if not source:
        pytest.skip('ENET_ROS_PYTORCH_ENET does not name the original models/enet.py')
    spec = importlib.util.spec_from_file_location('original_enet', source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for options in ({}, {'encoder_relu': True}, {'decoder_relu': False}):
        original = randomized(module.ENet(20, **options))
        network = build_network(import_checkpoint(
            saved(tmp_path / 'ENet', original.state_dict())))
        x = torch.rand(2, 3, 96, 160)
        with torch.inference_mode():
            assert torch.equal(network(x), original(x))


@pytest.mark.parametrize(('change', 'message'), [
    (lambda state: state.pop('dilated2_4.ext_conv2.0.weight'), "it lacks 'stage2.3.branch.3"),
    (lambda state: state.update(extra=torch.zeros(3)), "an array 'extra'"),
    (lambda state: state.update({'regular1_1.ext_conv9.0.weight': torch.zeros(3)}), 'ext_conv9'),
    (lambda state: state.pop('transposed_conv.weight'), "no 'transposed_conv.weight'"),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias': torch.zeros(5)}),
     'torch.float32 \\[5\\], wanted floating point \\[16\\]'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias':
                                 torch.zeros(1).expand(1 << 40)}), '1099511627776'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias':
                                 torch.zeros(16, dtype=torch.int64)}), 'torch.int64'),
    (lambda state: state.update({'regular1_1.ext_conv1.1.bias': torch.full((16,), np.nan)}),
     'not finite'),
    (lambda state: state.update({3: torch.zeros(1)}), 'no state_dict'),
    (lambda state: state.clear(), 'no state_dict'),
])
def test_another_state_dict_is_refused(tmp_path, pytorch_network, change, message):
    state = as_pytorch_enet(pytorch_network)
    change(state)
    with pytest.raises(CheckpointError, match=f'other.pth: .*{message}'):
        import_checkpoint(saved(tmp_path / 'other.pth', state))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('write', [
    lambda path: torch.save({'state_dict': Bomb()}, path),
    lambda path: torch.save(Bomb(), path, _use_new_zipfile_serialization=False),
    lambda path: path.write_bytes(pickle.dumps(Bomb(), 2)),
])
def test_a_hostile_pickle_is_not_executed(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'hostile.pth')
    with pytest.raises(CheckpointError, match='hostile.pth: not readable as plain tensors'):
        import_checkpoint(tmp_path / 'hostile.pth')
    assert not (tmp_path / 'executed').exists()


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', bytes(80 << 20))
    with pytest.raises(CheckpointError, match='unpacks to 83886080 bytes'):
        import_checkpoint(tmp_path / 'bomb.pth')


def test_a_file_far_too_large_is_refused_unread(tmp_path):
    with open(tmp_path / 'large.net', 'wb') as file:
        file.truncate(1 << 30)
    with pytest.raises(CheckpointError, match='1073741824 bytes, wanted at most'):
        import_checkpoint(tmp_path / 'large.net')


@fuzz
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_pickle_is_refused(tmp_path, pytorch_bytes, share):
    assert outcome(tmp_path / 'cut', pytorch_bytes[:int(share * len(pytorch_bytes))]) is None


@fuzz
@given(flips=st.lists(st.tuples(st.integers(0, 20000), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_in_a_pickle_do_no_harm(tmp_path, pytorch_bytes, flips):
    outcome(tmp_path / 'flip', flipped(pytorch_bytes, flips))


# ---- the command

def test_command_writes_weights_that_load(tmp_path, torch7_bytes, capsys):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    out = tmp_path / 'w.safetensors'
    assert main(['import', str(tmp_path / 'model.net'), '-o', str(out)]) == 0
    assert '12 classes, drivable: Road' in capsys.readouterr().err
    checkpoint = read_checkpoint(out)
    assert 'model.net (sha256 ' in checkpoint.origin
    assert checkpoint.tensors['initial.weight'].dtype == np.float32


@pytest.mark.parametrize(('name', 'content'), [
    ('classes.txt', '\n'.join(f'c{i}' for i in range(11)) + '\nroad\n'),
    ('classes.yaml', ''.join(f'- name: c{i}\n' for i in range(11))
     + '- {name: road, color: [1, 2, 3], drivable: true}\n'),
])
def test_command_takes_a_class_file(tmp_path, torch7_bytes, name, content):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    (tmp_path / name).write_text(content)
    assert main(['import', str(tmp_path / 'model.net'), '-o', str(tmp_path / 'w.safetensors'),
                 '--classes', str(tmp_path / name)]) == 0
    class_map = read_checkpoint(tmp_path / 'w.safetensors').class_map
    assert class_map.names[-1] == 'road'
    assert class_map.drivable_names == ('road',)


@pytest.mark.parametrize(('content', 'message'), [
    ('one\ntwo\n', '12 classes, the class file 2'),
    ('one\none\n', "two classes are named 'one'"),
    ('', 'has 0 classes'),
    ('\x00\xff', 'no text'),
])
def test_command_refuses_a_class_file_that_does_not_fit(tmp_path, torch7_bytes, capsys, content,
                                                        message):
    (tmp_path / 'model.net').write_bytes(torch7_bytes)
    (tmp_path / 'c.txt').write_bytes(content.encode('latin-1'))
    assert main(['import', str(tmp_path / 'model.net'), '-o', str(tmp_path / 'w.safetensors'),
                 '--classes', str(tmp_path / 'c.txt')]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'w.safetensors').exists()


def test_classes_must_be_named_when_their_number_says_nothing(tmp_path):
    with pytest.raises(CheckpointError, match='has 3 classes: say which with --classes'):
        imported(tmp_path / 'model.net', as_torch7(as_modules(ENet(3).eval())))


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(['import', str(tmp_path / 'nowhere.net'), '-o', str(tmp_path / 'w')]) == 2
    assert 'nowhere.net: No such file' in capsys.readouterr().err
