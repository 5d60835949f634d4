"""The compile step of an engine with the signatures of several versions of torch-tensorrt."""

import inspect
import sys
import types
from collections import Counter
from pathlib import Path

import pytest
import torch
from support.fake_gpu import SIZE
from support.fake_modules import empty_module

from enet_ros.backends.tensorrt import build
from enet_ros.backends.tensorrt.build import BuildRequest, compile_arguments


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
        monkeypatch.setattr(build, 'DEVICE', 'cpu')
        return builder
    return install


@pytest.mark.parametrize('function', [compile_2_8, compile_newest])
def test_the_compile_step_fits_each_signature(libraries, checkpoint, tmp_path, capsys, function):
    builder = libraries(function)
    originals = dict(vars(builder))
    request = BuildRequest(checkpoint, SIZE, 2, True, tmp_path / 'a.engine')
    assert build.compile_engine(request, tmp_path) == b'saved plan'
    assert 'enet_ros: of the convolutions are 1 half' in capsys.readouterr().out
    assert dict(vars(builder)) == originals


def test_the_exported_program_takes_float16(libraries, checkpoint, tmp_path):
    """TensorRT builds an engine of uint8, which torch_tensorrt's runtime refuses to load."""
    programs = []

    def compile_and_keep(program, **_):
        programs.append(program)
        return b'plan'

    libraries(compile_and_keep)
    build.compile_engine(BuildRequest(checkpoint, SIZE, 2, True, tmp_path / 'a'), tmp_path)
    [program] = programs
    values = {node.name: node.meta['val'] for node in program.graph.nodes if 'val' in node.meta}
    [frames] = [values[name] for name in program.graph_signature.user_inputs]
    assert frames.dtype == torch.float16
    assert frames.shape == (2, SIZE[1], SIZE[0], 3)


def test_an_engine_that_is_not_in_half_precision_is_refused(libraries, checkpoint, tmp_path):
    libraries(compile_newest, precision='FLOAT')
    request = BuildRequest(checkpoint, SIZE, 2, False, tmp_path / 'a.engine')
    with pytest.raises(build.BuildError, match='1 float, wanted only half'):
        build.compile_engine(request, tmp_path)


def test_arguments_are_chosen_by_signature():
    old = compile_arguments(inspect.signature(compile_2_8).parameters)
    assert old['use_explicit_typing'] is True
    assert 'enabled_precisions' not in old
    new = compile_arguments(inspect.signature(compile_newest).parameters)
    assert {'use_explicit_typing', 'enabled_precisions'}.isdisjoint(new)
    before_typing = compile_arguments({'enabled_precisions', 'min_block_size'})
    assert before_typing == {'enabled_precisions': {torch.float16}, 'min_block_size': 1}


def test_unknown_types_are_said_and_not_refused(capsys):
    build.check_types(Counter())
    assert 'not known' in capsys.readouterr().out
