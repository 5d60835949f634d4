"""The ENet of the paper's authors, as e-lab/ENet-training saves it with Torch7."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from enet_ros.importers.torch7 import Module
from enet_ros.network.checkpoint import CheckpointError
from enet_ros.network.enet import Bottleneck, ENet

DROPOUTS = ('SpatialDropout', 'Dropout')


@dataclass(frozen=True)
class ExpectedModule:
    """A module that the file must have.

    Attributes:
        kinds: Class names that are accepted.
        fields: Numbers that the module must have.
        inside: The inner modules.
        name: Name of our layer that takes the arrays; '' where none does.
        arrays: Name of each array, in the file and in our layer -> its shape.
    """

    kinds: tuple[str, ...]
    fields: dict[str, float] = field(default_factory=dict)
    inside: tuple[ExpectedModule, ...] = ()
    name: str = ''
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)


POOL = ExpectedModule(('SpatialMaxPooling',), {'kW': 2, 'kH': 2, 'dW': 2, 'dH': 2,
                                               'padW': 0, 'padH': 0})
UNPOOL = ExpectedModule(('SpatialMaxUnpooling',))
ADD = ExpectedModule(('CAddTable',))


def _sequence(*inside: ExpectedModule) -> ExpectedModule:
    return ExpectedModule(('Sequential',), inside=inside)


def _fork(*inside: ExpectedModule) -> ExpectedModule:
    return ExpectedModule(('ConcatTable',), inside=inside)


def _convolution(name: str, layer: nn.Conv2d | nn.ConvTranspose2d) -> ExpectedModule:
    """Describe a convolution in Torch7's words."""
    transposed = isinstance(layer, nn.ConvTranspose2d)
    pairs = {'k': layer.kernel_size, 'd': layer.stride, 'pad': layer.padding}
    kinds = ('SpatialConvolution',)
    if transposed:
        pairs['adj'], kinds = layer.output_padding, ('SpatialFullConvolution',)
    elif layer.dilation != (1, 1):
        pairs['dilation'], kinds = layer.dilation, ('SpatialDilatedConvolution',)
    fields = {f'{key}{axis}': value for key, pair in pairs.items()
              for axis, value in zip('HW', pair)}
    fields |= {'nInputPlane': layer.in_channels, 'nOutputPlane': layer.out_channels}
    return ExpectedModule(kinds, fields, name=name, arrays=_shapes(
        layer, 'weight', *(() if layer.bias is None else ('bias',))))


def _shapes(layer: nn.Module, *names: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(layer, name).shape) for name in names}


def _layer(name: str, layer: nn.Module) -> ExpectedModule:
    """Describe one of our layers in Torch7's words."""
    if isinstance(layer, nn.BatchNorm2d):
        return ExpectedModule(('SpatialBatchNormalization',), {'eps': layer.eps}, name=name,
                      arrays=_shapes(layer, 'weight', 'bias', 'running_mean', 'running_var'))
    if isinstance(layer, nn.PReLU):
        return ExpectedModule(('PReLU',), name=name, arrays=_shapes(layer, 'weight'))
    if isinstance(layer, nn.ReLU):
        return ExpectedModule(('ReLU',))
    return _convolution(name, layer)


def _bottleneck(name: str, block: Bottleneck) -> ExpectedModule:
    """Describe a bottleneck: two branches, their sum and an activation."""
    layers = [(part, getattr(block, part)) for part in (
        'projection', 'norm1', 'act1', 'conv', 'norm2', 'act2', 'expansion', 'norm3')]
    if isinstance(block.conv, nn.Sequential):
        layers[3:4] = [('conv.0', block.conv[0]), ('conv.1', block.conv[1])]
    branch = [_layer(f'{name}.{part}', layer) for part, layer in layers]
    main: list[ExpectedModule] = []
    if block.kind == 'downsampling':
        padding = {'dim': 1, 'pad': block.extra_channels, 'value': 0}
        main = [POOL, ExpectedModule(('Padding',), padding)]
    elif block.kind == 'upsampling':
        main = [*(_layer(f'{name}.main.{i}', layer) for i, layer in enumerate(block.main)), UNPOOL]
    return _sequence(_fork(_sequence(*branch), _sequence(*main)), ADD,
                     _layer(f'{name}.act', block.act))


def layout(network: ENet) -> ExpectedModule:
    """Describe the file of a network, module by module."""
    blocks = [_bottleneck(name, block) for name, block in network.named_modules()
              if isinstance(block, Bottleneck)]
    return _sequence(
        _fork(_layer('initial', network.initial), POOL),
        ExpectedModule(('JoinTable',), {'dimension': 2}),
        _layer('norm', network.norm), _layer('act', network.act), *blocks,
        _layer('fullconv', network.fullconv))


def _matched(found, wanted: ExpectedModule, path: str = '',
             scale: float = 1.0) -> Iterator[tuple[str, np.ndarray]]:
    """Compare a module with the expected one, and yield our names with its arrays.

    Args:
        found: The module of the file.
        wanted: The expected module. It bounds the walk, since a file may hold a module inside
            itself.
        path: Numbers of the modules on the way, from 1 on, for messages.
        scale: Factor on the module's output.

    Raises:
        CheckpointError: The modules differ; the message says where.
    """
    kind = found.kind if isinstance(found, Module) else type(found).__name__
    what = f'module {path or "0"} ({kind})'
    if kind not in wanted.kinds:
        raise CheckpointError(f'{what}: this ENet has {wanted.kinds[0]} there')
    if scale != 1.0 and kind != 'SpatialBatchNormalization':
        raise CheckpointError(f'{what}: a dropout follows, this ENet has none there')
    yield from _arrays(found, wanted, what, scale)
    inside = _scaled(found.children())
    if len(inside) != len(wanted.inside):
        raise CheckpointError(f'{what} holds {len(inside)} modules, this ENet has '
                              f'{len(wanted.inside)} there')
    for number, ((child, factor), want) in enumerate(zip(inside, wanted.inside), start=1):
        yield from _matched(child, want, f'{path}.{number}'.lstrip('.'), factor)


def _scaled(children: list) -> list[tuple[object, float]]:
    """Return the modules that compute, each with the factor of the dropout that follows it.

    Torch7's dropout does not enlarge what it keeps in training; it scales by 1 - p afterwards
    (``SpatialDropout.lua``). Only ``Dropout`` with ``v2`` behaves as PyTorch's.
    """
    kept: list[tuple[object, float]] = []
    for child in children:
        kind = child.kind if isinstance(child, Module) else ''
        if kind in DROPOUTS and kept:
            kept[-1] = (kept[-1][0], kept[-1][1] * _share_kept(child))
        elif kind != 'Identity':
            kept.append((child, 1.0))
    return kept


def _share_kept(dropout: Module) -> float:
    """Return the factor by which a trained dropout multiplies."""
    p = dropout.fields.get('p')
    if not isinstance(p, (int, float)) or not 0 <= p < 1:
        raise CheckpointError(f'a {dropout.kind} has p {_short(p)}, wanted 0 to 1')
    return 1.0 if dropout.fields.get('v2') else 1.0 - p


def _arrays(found: Module, wanted: ExpectedModule, what: str,
            scale: float) -> Iterator[tuple[str, np.ndarray]]:
    """Compare the numbers of a module, and yield our names with its arrays."""
    for key, value in wanted.fields.items():
        number = found.fields.get(key)
        if not _close(number, value):
            raise CheckpointError(f'{what} has {key} {_short(number)}, this ENet has {value}')
    for name, shape in wanted.arrays.items():
        array = _array(found.fields.get(name), shape, f'{what} {name}')
        factor = np.float32(1.0 if name.startswith('running') else scale)
        with np.errstate(all='ignore'):  # what is not finite is refused with its name later
            scaled = array * factor
        yield f'{wanted.name}.{name}', scaled
    if list(wanted.arrays) == ['weight'] and found.fields.get('bias') is not None:
        raise CheckpointError(f'{what} has a bias, this ENet has none there')


def _close(found, wanted: float) -> bool:
    # Some versions of Torch7 keep eps in single precision.
    return isinstance(found, (int, float)) and abs(found - wanted) <= 1e-6 * abs(wanted)


def _short(value) -> str:
    return str(value)[:40] if isinstance(value, (int, float, str)) else type(value).__name__


def _array(value, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return a tensor as float32.

    The shape is checked before anything is copied. Tensors may share a storage, so that a small
    file can claim many times its size.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind != 'f':
        raise CheckpointError(f'{what} is {type(value).__name__}, wanted a float tensor')
    if value.shape != shape:
        raise CheckpointError(f'{what} is of shape {value.shape}, wanted {shape}')
    with np.errstate(over='ignore'):  # the infinity is refused with its name later
        return value.astype(np.float32)


def from_torch7(model) -> tuple[dict[str, np.ndarray], int, str]:
    """Take the arrays of an ENet out of a Torch7 model.

    Args:
        model: What :func:`enet_ros.importers.torch7.read_torch7` returned.

    Returns:
        Arrays by the names of :class:`enet_ros.network.enet.ENet`, float32; the number of classes;
        and the activation of the decoder, 'prelu' or 'relu'.

    Raises:
        CheckpointError: The modules are not those of an ENet; the message names the first that
            differs.
    """
    modules = _children(model)
    count = modules[-1].fields.get('nOutputPlane') if modules else None
    if type(count) is not int or not 1 <= count <= 255:
        raise CheckpointError('its last module is no convolution of 1 to 255 classes, so it holds '
                              'no ENet')
    last_block = _children(modules[-2]) if len(modules) > 1 else []
    activation = 'relu' if last_block and last_block[-1].kind == 'ReLU' else 'prelu'
    return dict(_matched(model, layout(ENet(count, activation)))), count, activation


def _children(module) -> list[Module]:
    """Return the inner modules, or none where anything else is among them."""
    inside = module.children() if isinstance(module, Module) else []
    return inside if all(isinstance(child, Module) for child in inside) else []
