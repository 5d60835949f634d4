"""Cases for files of other projects: Torch7, and what torch.save writes."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from functools import cache

import numpy as np
import torch
from support.fuzz_bytes import NUMBERS, damaged
from support.fuzz_texts import scratch_file
from support.other_weights import CLASSES, as_modules, as_pytorch_enet, as_torch7, randomized, text

from enet_ros.importers.import_checkpoint import import_checkpoint
from enet_ros.importers.torch7 import ELEMENTS, MODULES, Module
from enet_ros.network.enet import ENet
from enet_ros.network.pytorch_enet import PyTorchENet

HOSTILE = (
    ('os', 'system'),
    ('posix', 'system'),
    ('builtins', 'exec'),
    ('builtins', 'eval'),
    ('subprocess', 'Popen'),
    ('torch', 'load'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('torch._utils', '_rebuild_tensor_v2'),
    ('collections', 'OrderedDict'),
    ('torch', 'FloatStorage'),
    ('argparse', 'Namespace'),
    ('pathlib', 'PosixPath'),
    ('torch.serialization', '_get_layout'),
    ('torch', 'device'),
    ('_codecs', 'encode'),
    ('torch._utils', '_rebuild_sparse_tensor'),
    ('torch', 'Size'),
    ('builtins', 'getattr'),
    ('torch._utils', '_rebuild_parameter'),
    ('torch', 'float32'),
    ('builtins', 'set'),
    ('torch._utils', '_rebuild_qtensor'),
    ('torch._utils', '_rebuild_meta_tensor_no_storage'),
)
OPCODES = bytes(range(0x28, 0x7F)) + bytes(range(0x80, 0x98))


@cache
def torch7_files():
    """Return a whole model and small objects."""
    small = {
        'modules': {
            1: Module('ReLU', {}),
            2: Module('SpatialConvolution', {'weight': np.ones((2, 3), 'f4'), 'nOutputPlane': 12}),
        }
    }
    return (
        as_torch7(as_modules(randomized(ENet(CLASSES)))),
        as_torch7(Module('Sequential', small)),
        as_torch7(
            Module(
                'Sequential',
                {'modules': {1: Module('SpatialFullConvolution', {'nOutputPlane': 12})}},
            )
        ),
    )


def _torch7_value(rng, depth=0):
    """Draw a value of Torch7's format, hostile or not."""
    kind = rng.choice((0, 1, 2, 3, 3, 4, 4, 4, 5, 6, 7, 8, 99, -1))
    start = struct.pack('<i', kind)
    if kind == 1:
        return start + struct.pack(
            '<d', rng.choice((0, 1, 0.5, float('nan'), float('inf'), -1e300))
        )
    if kind == 2:
        return start + text(rng.choice(('', 'modules', 'V 1', 'x' * 50)))
    if kind == 3:
        count = rng.choice((0, 1, 2, 3, rng.choice(NUMBERS) % 2**31)) if depth < 6 else 0
        return (
            start
            + struct.pack('<ii', rng.randrange(20), count)
            + b''.join(_torch7_value(rng, depth + 1) for _ in range(min(count * 2, 6)))
        )
    if kind == 4:
        return (
            start + struct.pack('<i', rng.randrange(20)) + text('V 1') + _torch7_object(rng, depth)
        )
    return start + struct.pack('<i', rng.choice((0, 1, 2)))


def _torch7_object(rng, depth):
    """Draw what follows the version of an object."""
    element = rng.choice(tuple(ELEMENTS))
    kind = rng.randrange(3)
    if kind == 0:
        return (
            text(f'torch.{element}Storage')
            + struct.pack('<q', rng.choice((0, 1, 4, 2**62, -1, 2**31)))
            + rng.randbytes(32)
        )
    if kind == 1:
        count = rng.choice((0, 1, 2, 4, 8, 9, -1))
        numbers = [
            rng.choice((0, 1, 2, 4, 2**20, 2**40, 2**62, -1)) for _ in range(2 * max(count, 0))
        ]
        return (
            text(f'torch.{element}Tensor')
            + struct.pack(f'<i{len(numbers)}qq', count, *numbers, rng.choice((0, 1, 5, 2**62)))
            + _torch7_value(rng, depth + 1)
        )
    return text(rng.choice((*sorted(MODULES), 'nn.Evil'))) + (
        _torch7_value(rng, depth + 1) if depth < 8 else b''
    )


def draw_torch7(rng):
    """Draw a Torch7 file."""
    kind = rng.random()
    if kind < 0.4:
        return struct.pack('<ii', 4, 1) + text('V 1') + _torch7_object(rng, 0)
    if kind < 0.45:  # deep: tables in tables, and objects in objects
        return (
            struct.pack('<ii', 4, 1)
            + text('V 1')
            + text('nn.Sequential')
            + b''.join(
                struct.pack('<iii', 3, index, 1) for index in range(2, rng.choice((50, 99, 5000)))
            )
        )
    content = torch7_files()[0 if rng.random() < 0.1 else rng.randint(1, 2)]
    return damaged(rng, content, within=rng.choice((100, 6000, None)))


@cache
def pytorch_files():
    """Return whole and small checkpoints, zipped and not, and other things that are pickled."""
    small = OrderedDict((f'{name}.weight', torch.ones(2, 3)) for name in ('a', 'b'))
    small['transposed_conv.weight'] = torch.ones(16, 12, 3, 3)
    with torch.no_grad():
        whole = as_pytorch_enet(randomized(PyTorchENet(CLASSES)))
    contents = []
    for value in (
        whole,
        small,
        {'state_dict': small, 'epoch': 3, 'best': np.float64(0.5)},
        [small, {'a': small}],
        torch.ones(3),
        {1: torch.ones(1)},
        'text',
    ):
        for is_zip in (True, False):
            file = io.BytesIO()
            torch.save(value, file, _use_new_zipfile_serialization=is_zip)
            contents.append(file.getvalue())
    return contents


def _pickle(rng):
    """Draw a pickle of opcodes by chance, with calls of names that must not be called."""
    module, name = rng.choice(HOSTILE)
    argument = rng.choice((('touch /tmp/evil',), (), (2**40,), ((2**30, 2**30),), ([],)))
    call = f'c{module}\n{name}\n'.encode() + pickle.dumps(argument, 2)[2:-1] + b'R'
    kind = rng.randrange(6)
    if kind == 0:
        return b'\x80\x02' + call + b'.'
    if kind == 1:
        return b'\x80\x02}' + pickle.dumps('a', 2)[2:-1] + call + b's.'
    if kind == 2:
        return b'\x80\x02' + bytes(rng.choice(OPCODES) for _ in range(rng.randint(1, 60))) + b'.'
    if kind == 3:
        return b'\x80\x02' + b']q\x00h\x00' * rng.choice((1, 40)) + b'a' * 30 + b'.'
    if kind == 4:
        return (
            b'\x80\x02'
            + rng.choice((b'(', b']', b'}(', b'c__main__\nA\n)R')) * rng.choice((10, 5000))
            + b'.'
        )
    return damaged(rng, b'\x80\x02' + call + b'.')


def draw_pytorch(rng):
    """Draw a file that torch.save might have written."""
    kind = rng.random()
    if kind < 0.25:
        return _pickle(rng)
    files = pytorch_files()
    content = files[rng.randrange(2) if rng.random() < 0.04 else rng.randrange(2, len(files))]
    if content.startswith(b'PK') and kind < 0.75:
        return _rezipped(rng, content)
    return damaged(rng, content, within=rng.choice((300, 5000, None)))


def _rezipped(rng, content):
    """Write an archive anew, with right checksums around changed entries."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(
            file, 'w', rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        ) as target,
    ):
        for entry in source.infolist():
            body, name = source.read(entry), entry.filename
            change = rng.random()
            if name.endswith('data.pkl') and change < 0.3:
                body = _pickle(rng)
            elif name.endswith('data.pkl') and change < 0.8:
                body = damaged(rng, body)
            elif change < 0.1:
                body = rng.choice((b'', body + bytes(9), bytes(5_000_000), b'big'))
            elif change < 0.15:
                name = rng.choice(('../evil', '/etc/evil', 'archive/constants.pkl', 'x', 'a/b/c'))
            elif change < 0.18:
                continue
            target.writestr(name, body)
    return file.getvalue()


def run_import(content):
    """Import a file as ``enet-ros import`` does."""
    path = scratch_file('.weights')
    path.write_bytes(content)
    import_checkpoint(path)
