"""The ENet of the paper's authors, as e-lab/ENet-training saves it from Torch7."""

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
class Wanted:
    """A module the file must have.

    Attributes:
        kinds: class names, any of which will do.
        fields: numbers it must have.
        inside: the modules inside.
        name: of our layer that takes its arrays; '' for none.
        arrays: names of the arrays of both, with their shapes.
    """

    kinds: tuple[str, ...]
    fields: dict[str, float] = field(default_factory=dict)
    inside: tuple[Wanted, ...] = ()
    name: str = ''
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)


POOL = Wanted(('SpatialMaxPooling',), {'kW': 2, 'kH': 2, 'dW': 2, 'dH': 2, 'padW': 0, 'padH': 0})
UNPOOL = Wanted(('SpatialMaxUnpooling',))
ADD = Wanted(('CAddTable',))


def _sequence(*inside: Wanted) -> Wanted:
    return Wanted(('Sequential',), inside=inside)


def _fork(*inside: Wanted) -> Wanted:
    return Wanted(('ConcatTable',), inside=inside)


def _convolution(name: str, layer: nn.Conv2d | nn.ConvTranspose2d) -> Wanted:
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
    return Wanted(kinds, fields, name=name, arrays=_shapes(
        layer, 'weight', *(() if layer.bias is None else ('bias',))))


def _shapes(layer: nn.Module, *names: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(layer, name).shape) for name in names}


def _layer(name: str, layer: nn.Module) -> Wanted:
    """Describe one of our layers in Torch7's words."""
    if isinstance(layer, nn.BatchNorm2d):
        return Wanted(('SpatialBatchNormalization',), {'eps': layer.eps}, name=name,
                      arrays=_shapes(layer, 'weight', 'bias', 'running_mean', 'running_var'))
    if isinstance(layer, nn.PReLU):
        return Wanted(('PReLU',), name=name, arrays=_shapes(layer, 'weight'))
    if isinstance(layer, nn.ReLU):
        return Wanted(('ReLU',))
    return _convolution(name, layer)


def _bottleneck(name: str, block: Bottleneck) -> Wanted:
    """Describe a bottleneck: two branches, their sum, an activation."""
    layers = [(part, getattr(block, part)) for part in (
        'projection', 'norm1', 'act1', 'conv', 'norm2', 'act2', 'expansion', 'norm3')]
    if isinstance(block.conv, nn.Sequential):
        layers[3:4] = [('conv.0', block.conv[0]), ('conv.1', block.conv[1])]
    branch = [_layer(f'{name}.{part}', layer) for part, layer in layers]
    main: list[Wanted] = []
    if block.kind == 'downsampling':
        padding = {'dim': 1, 'pad': block.extra_channels, 'value': 0}
        main = [POOL, Wanted(('Padding',), padding)]
    elif block.kind == 'upsampling':
        main = [*(_layer(f'{name}.main.{i}', layer) for i, layer in enumerate(block.main)), UNPOOL]
    return _sequence(_fork(_sequence(*branch), _sequence(*main)), ADD,
                     _layer(f'{name}.act', block.act))


def layout(network: ENet) -> Wanted:
    """Describe the file that holds a network, module by module."""
    blocks = [_bottleneck(name, block) for name, block in network.named_modules()
              if isinstance(block, Bottleneck)]
    return _sequence(
        _fork(_layer('initial', network.initial), POOL), Wanted(('JoinTable',), {'dimension': 2}),
        _layer('norm', network.norm), _layer('act', network.act), *blocks,
        _layer('fullconv', network.fullconv))


def _matched(found, wanted: Wanted, path: str = '',
             scale: float = 1.0) -> Iterator[tuple[str, np.ndarray]]:
    """Compare a module with what it must be, and yield our names with its arrays.

    Args:
        found: what the file has.
        wanted: what it must have. It bounds the walk: a file may hold a module inside itself.
        path: of the module, numbers from 1 on, for messages.
        scale: of the module's output.

    Raises:
        CheckpointError: they differ; the message says where.
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
    """Return modules with the factor that follows each, without those that do nothing else.

    Torch7's dropout does not enlarge what it keeps while training; it scales by 1 - p afterwards
    (``SpatialDropout.lua``). Only ``Dropout`` with ``v2`` does as PyTorch.
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
    """Return what a trained dropout multiplies by."""
    p = dropout.fields.get('p')
    if not isinstance(p, (int, float)) or not 0 <= p < 1:
        raise CheckpointError(f'a {dropout.kind} has p {_short(p)}, wanted 0 to 1')
    return 1.0 if dropout.fields.get('v2') else 1.0 - p


def _arrays(found: Module, wanted: Wanted, what: str,
            scale: float) -> Iterator[tuple[str, np.ndarray]]:
    """Compare a module's numbers, and yield our names with its arrays."""
    for key, value in wanted.fields.items():
        number = found.fields.get(key)
        if not _close(number, value):
            raise CheckpointError(f'{what} has {key} {_short(number)}, this ENet has {value}')
    for name, shape in wanted.arrays.items():
        array = _array(found.fields.get(name), shape, f'{what} {name}')
        factor = np.float32(1.0 if name.startswith('running') else scale)
        yield f'{wanted.name}.{name}', array * factor
    if list(wanted.arrays) == ['weight'] and found.fields.get('bias') is not None:
        raise CheckpointError(f'{what} has a bias, this ENet has none there')


def _close(found, wanted: float) -> bool:
    # Some versions of Torch7 keep eps in single precision.
    return isinstance(found, (int, float)) and abs(found - wanted) <= 1e-6 * abs(wanted)


def _short(value) -> str:
    return str(value)[:40] if isinstance(value, (int, float, str)) else type(value).__name__


def _array(value, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return a tensor as float32.

    The shape is checked before anything is copied: tensors may share one storage, so that a file
    can hold many times its size.
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
        model: from :func:`enet_ros.importers.import_checkpoint.torch7.read_torch7`.

    Returns:
        Arrays by the names of :class:`enet_ros.network.enet.ENet`, float32; the number of classes;
        and the activation of the decoder, 'prelu' or 'relu'.

    Raises:
        CheckpointError: its modules are not those of an ENet; the message names the first one.
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
    """Return the modules inside; none if anything else is inside."""
    inside = module.children() if isinstance(module, Module) else []
    return inside if all(isinstance(child, Module) for child in inside) else []
