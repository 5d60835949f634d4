"""TIFF files in tiles: what they unpack to is checked before memory is taken."""

import struct
import tracemalloc
import zlib

import pytest

from enet_ros.perception.encodings import EncodingError, decode_compressed


def tiled(width, height, tile, piece, count):
    """Return a TIFF of grey tiles, all of which are the same bytes of the file."""
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [8]), 259: (3, [8]), 262: (3, [1]),
            277: (3, [1]), 322: (4, [tile]), 323: (4, [tile]), 324: (4, [0] * count),
            325: (4, [len(piece)] * count)}
    entries, values, at = b'', b'', 8 + 2 + 12 * len(tags) + 4
    start = at + sum(4 * len(numbers) for _, numbers in tags.values() if len(numbers) > 1)
    tags[324] = (4, [start] * count)
    for tag, (kind, numbers) in tags.items():
        packed = struct.pack(f'<{len(numbers)}{"H" if kind == 3 else "I"}', *numbers)
        if len(packed) > 4:
            packed, values = struct.pack('<I', at + len(values)), values + packed
        entries += struct.pack('<HHI', tag, kind, len(numbers)) + packed.ljust(4, b'\0')
    return (struct.pack('<2sHIH', b'II', 42, 8, len(tags)) + entries + bytes(4) + values + piece)


@pytest.mark.parametrize(('data', 'reason'), [
    (tiled(64, 64, 8192, zlib.compress(bytes(8192 * 8192)), 1), 'has tiles of 67108864 bytes'),
    (tiled(500_000, 1, 8192, zlib.compress(bytes(8192 * 8192)), 62), 'has tiles of')])
def test_tiles_that_unpack_to_far_more_than_the_image_are_refused_at_once(data, reason):
    tracemalloc.start()
    try:
        with pytest.raises(EncodingError, match=reason):
            decode_compressed(data)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('tile', [64, 512, 2048])
def test_a_tile_larger_than_the_image_is_read(tile):
    data = tiled(60, 50, tile, zlib.compress(bytes([7]) * tile * tile), 1)
    assert (decode_compressed(data) == 7).all()
