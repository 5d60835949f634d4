"""TIFF files in tiles: what they unpack to is checked before memory is taken."""

import zlib

import pytest
from support.tiffs import tiff
from support.traced_memory import memory_below

from enet_ros.perception.encodings import EncodingError, decode_compressed


def tiled(width, height, tile, packed, count):
    """Return a TIFF of so many gray tiles, each packed like the others."""
    return tiff({256: (4, [width]), 257: (4, [height]), 258: (3, [8]), 259: (3, [8]),
                 262: (3, [1]), 277: (3, [1]), 322: (4, [tile]), 323: (4, [tile])},
                [packed] * count)


@pytest.mark.parametrize(('data', 'reason'), [
    (tiled(64, 64, 8192, zlib.compress(bytes(8192 * 8192)), 1), 'has tiles of 67108864 bytes'),
    (tiled(500_000, 1, 8192, zlib.compress(bytes(8192 * 8192)), 62), 'has tiles of')])
def test_tiles_that_unpack_to_far_more_than_the_image_are_refused_at_once(data, reason):
    with memory_below(1e6):
        with pytest.raises(EncodingError, match=reason):
            decode_compressed(data)


@pytest.mark.parametrize('tile', [64, 512, 2048])
def test_a_tile_larger_than_the_image_is_read(tile):
    data = tiled(60, 50, tile, zlib.compress(bytes([7]) * tile * tile), 1)
    assert (decode_compressed(data) == 7).all()
