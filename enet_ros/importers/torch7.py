"""Torch7's binary serialization, read without executing anything.

The layout is that of ``File:readObject`` in torch/torch7 ``File.lua`` and of the ``read`` methods
of tensors and storages: little-endian, 8-byte longs, as 64-bit Linux wrote it. The reader accepts
only the classes below. It refuses Lua functions, which hold bytecode.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from enet_ros.network.checkpoint import CheckpointError

NIL, NUMBER, STRING, TABLE, OBJECT, BOOLEAN = range(6)
FUNCTIONS = {6: 'function', 7: 'legacy function', 8: 'recursive function'}

MAX_DEPTH = 100        # the authors' model nests 15 deep
MAX_OBJECTS = 200_000  # and holds 12,907 objects
MAX_DIMENSIONS = 8

#: Name before Storage or Tensor -> element type.
ELEMENTS = {
    'Byte': 'u1', 'Char': 'i1', 'Short': '<i2', 'Int': '<i4', 'Long': '<i8', 'Half': '<f2',
    'Float': '<f4', 'Double': '<f8', 'Cuda': '<f4', 'CudaByte': 'u1', 'CudaChar': 'i1',
    'CudaShort': '<i2', 'CudaInt': '<i4', 'CudaLong': '<i8', 'CudaHalf': '<f2',
    'CudaDouble': '<f8',
}
STORAGES = {f'torch.{name}Storage': np.dtype(kind) for name, kind in ELEMENTS.items()}
TENSORS = {f'torch.{name}Tensor': np.dtype(kind) for name, kind in ELEMENTS.items()}

#: Classes of nn and cudnn, whose content is a table of fields.
MODULES = frozenset(
    f'{package}.{name}' for package in ('nn', 'cudnn') for name in (
        'CAddTable', 'ConcatTable', 'Dropout', 'Identity', 'JoinTable', 'PReLU', 'Padding', 'ReLU',
        'Sequential', 'SpatialBatchNormalization', 'SpatialConvolution',
        'SpatialDilatedConvolution', 'SpatialDropout', 'SpatialFullConvolution',
        'SpatialMaxPooling', 'SpatialMaxUnpooling'))


@dataclass
class Module:
    """An object of nn or cudnn.

    Attributes:
        kind: The class name without its package.
        fields: The table as it is stored; 'modules' holds the inner modules, from 1 on.
    """

    kind: str
    fields: dict

    def children(self) -> list:
        """Return the inner modules in order."""
        table = self.fields.get('modules')
        if not isinstance(table, dict):
            return []
        return [table[key] for key in range(1, len(table) + 1) if key in table]


class Torch7Reader:
    """Reads one object from bytes.

    Args:
        data: The content of the file; the arrays that are read are views of it.
    """

    def __init__(self, data: bytes):
        self._data = data
        self._position = 0
        self._depth = 0
        self._count = 0
        self._objects: dict[int, object] = {}

    def read(self):
        """Read the next object.

        Returns:
            None, a float or, where it is whole, an int, a str, a bool, a dict for a table, a
            numpy array for a tensor or a storage, or a :class:`Module`.

        Raises:
            CheckpointError: The data are truncated, of another format, too large or too deep, or
                hold an object of a class that is not accepted.
        """
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_OBJECTS:
            raise CheckpointError(f'it nests deeper than {MAX_DEPTH} or holds more than '
                                  f'{MAX_OBJECTS} objects, so it is no ENet')
        self._depth += 1
        value = self._value(self._int())
        self._depth -= 1
        return value

    def _value(self, kind: int):
        """Read the value that follows a type number."""
        if kind == NIL:
            return None
        if kind == NUMBER:
            number = self._unpack('<d')
            return int(number) if number.is_integer() else number
        if kind == STRING:
            return self._string()
        if kind == BOOLEAN:
            return self._int() != 0
        if kind in (TABLE, OBJECT):
            return self._shared(kind)
        if kind in FUNCTIONS:
            raise CheckpointError(f'it holds a Lua {FUNCTIONS[kind]} at byte {self._position - 4}:'
                                  ' that is code, which is never run')
        raise CheckpointError(f'type {kind} at byte {self._position - 4}, wanted 0 to 5; it is no '
                              'Torch7 binary file, or damaged')

    def _shared(self, kind: int):
        """Read a table or an object, or the number of one that was read before."""
        index = self._int()
        if index in self._objects:
            return self._objects[index]
        return self._table(index) if kind == TABLE else self._object(index)

    def _table(self, index: int) -> dict:
        size = self._length(self._int(), 8)  # a key and a value, a type number each at least
        table: dict = {}
        self._objects[index] = table           # before its content, which may refer to it
        for _ in range(size):
            key = self.read()
            if not isinstance(key, (str, int, float)):
                raise CheckpointError(f'a table has a key of type {type(key).__name__}, '
                                      'wanted text or a number')
            table[key] = self.read()
        return table

    def _object(self, index: int):
        """Read an object of an accepted class."""
        name = self._string()
        if name.startswith('V '):            # the version, which the oldest files lack
            name = self._string()
        if name in STORAGES:
            return self._storage(index, STORAGES[name])
        if name in TENSORS:
            return self._tensor(index, TENSORS[name])
        if name not in MODULES:
            raise CheckpointError(f"it holds an object of class '{name[:80]}', which no ENet has")
        module = Module(name.split('.')[1], {})
        self._objects[index] = module
        fields = self.read()
        if not isinstance(fields, dict):
            raise CheckpointError(f"its '{name}' holds {type(fields).__name__}, wanted a table")
        module.fields = fields
        return module

    def _storage(self, index: int, dtype: np.dtype) -> np.ndarray:
        count = self._length(self._long(), dtype.itemsize)
        array = (np.frombuffer(self._data, dtype, count, self._position) if count
                 else np.empty(0, dtype))  # frombuffer refuses to read nothing at the end
        self._position += count * dtype.itemsize
        self._objects[index] = array
        return array

    def _tensor(self, index: int, dtype: np.dtype) -> np.ndarray:
        """Read sizes, strides, the offset, which counts from 1, and the storage.

        Tensors may share a storage.
        """
        dimensions = self._int()
        if not 0 <= dimensions <= MAX_DIMENSIONS:
            raise CheckpointError(f'a tensor has {dimensions} dimensions, '
                                  f'wanted at most {MAX_DIMENSIONS}')
        sizes = [self._long() for _ in range(dimensions)]
        strides = [self._long() for _ in range(dimensions)]
        offset = self._long() - 1
        self._objects[index] = None
        tensor = _view(self.read(), dtype, sizes, strides, offset)
        self._objects[index] = tensor
        return tensor

    def _string(self) -> str:
        size = self._length(self._int(), 1)
        self._position += size
        return self._data[self._position - size:self._position].decode('latin-1')

    def _int(self) -> int:
        return self._unpack('<i')

    def _long(self) -> int:
        return self._unpack('<q')

    def _unpack(self, layout: str):
        size = self._length(struct.calcsize(layout), 1)
        self._position += size
        return struct.unpack_from(layout, self._data, self._position - size)[0]

    def _length(self, count: int, size: int) -> int:
        """Return a count of items of at least ``size`` bytes after checking that they fit."""
        left = len(self._data) - self._position
        if count < 0 or count * size > left:
            raise CheckpointError(f'{count} times {size} bytes wanted at byte {self._position}, '
                                  f'{left} left; it is truncated, damaged or no Torch7 file')
        return count


def _view(storage, dtype: np.dtype, sizes: list[int], strides: list[int],
          offset: int) -> np.ndarray:
    """Return a tensor's elements as a view of its storage.

    Raises:
        CheckpointError: The elements overlap or lie outside the storage.
    """
    if not sizes or 0 in sizes:
        return np.empty(0, dtype)
    if not isinstance(storage, np.ndarray) or storage.dtype != dtype or storage.ndim != 1:
        raise CheckpointError('a tensor has no storage of its own type')
    dense = [int(np.prod(sizes[axis + 1:], dtype=object)) for axis in range(len(sizes))]
    count = dense[0] * sizes[0]
    if min(sizes) < 0 or offset < 0 or offset + count > storage.size or any(
            stride != wanted for size, stride, wanted in zip(sizes, strides, dense) if size > 1):
        raise CheckpointError(f'a tensor of sizes {sizes}, strides {strides} and offset {offset} '
                              f'does not lie densely in a storage of {storage.size} elements')
    return storage[offset:offset + count].reshape(sizes)


def read_torch7(data: bytes):
    """Read the object of a Torch7 binary file; see :meth:`Torch7Reader.read`."""
    return Torch7Reader(data).read()
