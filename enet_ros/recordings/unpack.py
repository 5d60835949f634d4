"""What is compressed in recordings, unpacked within limits.

A few bytes of zstd can mean many gigabytes. rosbags unpacks messages, chunks of MCAP and files
without a limit, so :func:`limit_rosbags` gives it the functions of this module.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from types import SimpleNamespace
from typing import BinaryIO

import zstandard
from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import reader as rosbags_reader
from rosbags.rosbag2 import storage_mcap

from enet_ros.perception.images.raw_image import MAX_BYTES as FRAME_BYTES

#: Of one message or chunk. The largest frame needs half of that; maps can be larger than frames.
MAX_BYTES = 2 * FRAME_BYTES
#: Of the compressed chunks whose times overlap, which rosbags unpacks at the same time.
MAX_OVERLAP_BYTES = 4 * MAX_BYTES
#: A file may unpack to this size in any case, and to that many times its own size.
FILE_BYTES, FILE_RATIO = 10**9, 1000
#: What is left free of the disk for temporary files, if that is no more than a 20th of it.
RESERVE_BYTES = 10**9
_PIECE = 1 << 20
_FRAME_HEADER_BYTES = 18  # of zstd, at most


class UnpackError(ValueError):
    """Something unpacks to more than a limit. The message has the size and the limit."""


def limit_rosbags() -> None:
    """Have rosbags unpack by the functions of this module."""
    storage_mcap.DECOMPRESSORS.update(zstd=_unpack_zstd_chunk, lz4=_unpack_lz4_chunk)
    rosbags_reader.zstd = SimpleNamespace(decompress=unpack_message, open=UnpackedFile)


def unpack_message(data: bytes) -> bytes:
    """Return a message that was compressed by zstd.

    Raises:
        UnpackError: It is too large.
        zstandard.ZstdError: It is damaged.
    """
    size = zstandard.frame_content_size(data)  # or -1
    unpacked = None if size > MAX_BYTES else _unzstd(data, MAX_BYTES)
    if unpacked is None:
        raise UnpackError(f'a message of {len(data):,} bytes unpacks to more than '
                          f'{MAX_BYTES // 10**6} MB')
    if size not in (-1, len(unpacked)):
        raise UnpackError(f'a message unpacks to {len(unpacked):,} bytes, wanted {size:,}')
    return unpacked


def _unpack_zstd_chunk(data: bytes, size: int) -> bytes:
    _check_chunk(len(data), size)
    unpacked = _unzstd(data, size)
    if unpacked is None:
        raise _wrong_size(data, size)
    return unpacked


def _unpack_lz4_chunk(data: bytes, size: int) -> bytes:
    _check_chunk(len(data), size)
    unpacked = LZ4FrameDecompressor().decompress(data, max_length=size + 1)
    if len(unpacked) > size:
        raise _wrong_size(data, size)
    return unpacked


def _check_chunk(packed: int, size: int) -> None:
    if size > MAX_BYTES:
        raise UnpackError(f'a chunk of {packed:,} bytes unpacks to {size / 1e6:,.0f} MB, wanted '
                          f'at most {MAX_BYTES // 10**6} MB')


def _wrong_size(data: bytes, size: int) -> UnpackError:
    return UnpackError(f'a chunk of {len(data):,} bytes unpacks to more than the {size:,} bytes '
                       'that it names')


def _unzstd(data: bytes, most: int) -> bytes | None:
    """Return what zstd unpacks to, or None if that is more than a limit."""
    pieces, left = [], most
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    while piece := reader.read(_PIECE):
        left -= len(piece)
        if left < 0:
            return None
        pieces.append(piece)
    return b''.join(pieces)


def check_chunks(chunks: Sequence[storage_mcap.ChunkInfo]) -> None:
    """Check the chunks that an MCAP file names, before any is unpacked.

    Raises:
        UnpackError: One is too large, or too many overlap.
    """
    changes = []
    for chunk in chunks:
        if chunk.compression:
            _check_chunk(chunk.compressed_size, chunk.uncompressed_size)
            changes += [(chunk.message_start_time, chunk.uncompressed_size),
                        (max(chunk.message_start_time, chunk.message_end_time) + 1,
                         -chunk.uncompressed_size)]
    size = 0
    for _, change in sorted(changes):
        size += change
        if size > MAX_OVERLAP_BYTES:
            raise UnpackError(
                f'its chunks overlap in time so that more than {MAX_OVERLAP_BYTES // 10**6} MB '
                "must be unpacked at once; 'mcap sort FILE -o SORTED' puts them in order")


class UnpackedFile:
    """A file that is compressed by zstd, to be read and copied into a temporary file.

    It has what ``shutil.copyfileobj`` and rosbags need of ``zstd.open``.
    """

    def __init__(self, packed: BinaryIO, mode: str = 'rb'):
        """Begin to read.

        Args:
            packed: The compressed file.
            mode: 'rb'.

        Raises:
            UnpackError: It says that it is too large.
            zstandard.ZstdError: It is not compressed by zstd.
        """
        self._packed_bytes = os.fstat(packed.fileno()).st_size
        self._most = max(FILE_BYTES, FILE_RATIO * self._packed_bytes)
        size = zstandard.frame_content_size(packed.read(_FRAME_HEADER_BYTES))  # or -1
        packed.seek(0)
        self._check(size, size)
        self._size = 0
        self._reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)

    def __enter__(self) -> UnpackedFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.close()

    def read(self, size: int) -> bytes:
        """Return the next bytes, or none at the end.

        Raises:
            UnpackError: There are too many.
        """
        piece = self._reader.read(size)
        self._size += len(piece)
        self._check(self._size, len(piece))
        return piece

    def _check(self, size: int, more: int) -> None:
        """Check a size that is reached, and that so many bytes more fit on the disk."""
        if size > self._most:
            raise UnpackError(f'its {self._packed_bytes:,} bytes unpack to more than '
                              f'{self._most / 1e9:.1f} GB, the limit for a file of that size')
        check_room(more)


def check_room(size: int, verb: str = 'unpacks to') -> None:
    """Check that the disk for temporary files has room.

    Args:
        size: Bytes that will be written.
        verb: What a file does that has that size.

    Raises:
        UnpackError: It has not.
    """
    folder = tempfile.gettempdir()
    disk = shutil.disk_usage(folder)
    free = disk.free - min(RESERVE_BYTES, disk.total // 20)
    if size > max(free, 0):
        raise UnpackError(f"it {verb} more than '{folder}' has room for: "
                          f'{max(free, 0) / 1e9:.1f} GB beside a reserve; let TMPDIR name a '
                          'folder with more')
