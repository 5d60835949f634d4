"""Compressed recordings of a few bytes that mean gigabytes are refused in a sentence."""

import resource
import shutil
import tempfile

import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

import zstandard  # noqa: E402
from lz4.frame import compress as lz4_compress  # noqa: E402
from mcap.writer import CompressionType, Writer  # noqa: E402
from rosbags.rosbag2 import storage_mcap  # noqa: E402
from support import recordings  # noqa: E402

from enet_ros.recordings import unpack  # noqa: E402

RAW = 'sensor_msgs/msg/Image'
MEGABYTE = 10**6


def zeros(size, *, says_size):
    """Return zeros that are compressed by zstd."""
    if says_size:
        return zstandard.ZstdCompressor().compress(bytes(size))
    packer = zstandard.ZstdCompressor().compressobj()
    pieces = [packer.compress(bytes(min(size - at, 1 << 24))) for at in range(0, size, 1 << 24)]
    return b''.join(pieces) + packer.flush()


def chunked(path, compression, counts=(1,), size=5 * MEGABYTE, step_ns=10**6):
    """Write an MCAP file with so many images of zeros in each chunk; returns its path."""
    with path.open('wb') as stream:
        writer = Writer(stream, compression=compression, chunk_size=size * max(counts) - 1)
        writer.start('ros2')
        schema = writer.register_schema(RAW, 'ros2msg', b'')
        channel = writer.register_channel('/image', 'cdr', schema)
        for i, count in enumerate(counts):
            for n in range(count):
                writer.add_message(channel, i * step_ns + n, bytes(size), 0)
        writer.finish()
    return path


@pytest.mark.parametrize('says_size', [True, False])
@pytest.mark.parametrize('has_metadata', [True, False])
def test_a_message_that_unpacks_to_gigabytes_is_refused(bag, tmp_path, has_metadata, says_size):
    rows = recordings.street(1)
    path = recordings.write(tmp_path / 'drive', rows, storage='sqlite3', compression='message')
    packed = zeros(600 * MEGABYTE, says_size=says_size)
    import sqlite3
    with sqlite3.connect(path / 'drive.db3') as database:
        database.execute('UPDATE messages SET data = ?', (packed,))
    if not has_metadata:
        (path / 'metadata.yaml').unlink()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert (f"the recording '{path}' cannot be read: a message of {len(packed):,} bytes unpacks "
            'to more than 512 MB\n') in text
    if says_size:  # else half of the gigabyte is unpacked
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


def test_a_message_that_is_cut_off_is_named():
    packed = zstandard.ZstdCompressor().compress(bytes(range(256)) * 1000)
    assert unpack.unpack_message(packed) == bytes(range(256)) * 1000
    with pytest.raises(unpack.UnpackError, match='a message unpacks to 0 bytes, wanted 256,000'):
        unpack.unpack_message(packed[:-20])


@pytest.mark.parametrize('compression', [CompressionType.ZSTD, CompressionType.LZ4])
def test_a_chunk_that_unpacks_to_too_much_is_refused_before(bag, tmp_path, monkeypatch,
                                                            compression):
    path = chunked(tmp_path / 'drive.mcap', compression)
    monkeypatch.setattr(unpack, 'MAX_BYTES', 4 * MEGABYTE)
    monkeypatch.setattr(unpack, '_unzstd', None)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert f"the recording '{path}' cannot be read: a chunk of " in text
    assert 'bytes unpacks to 5 MB, wanted at most 4 MB\n' in text


@pytest.mark.parametrize('packed', [
    zeros(50 * MEGABYTE, says_size=True), zeros(50 * MEGABYTE, says_size=False),
    lz4_compress(bytes(50 * MEGABYTE))])
def test_a_chunk_that_unpacks_to_more_than_it_names_is_refused(packed):
    name = 'zstd' if packed[:4] == b'\x28\xb5\x2f\xfd' else 'lz4'
    with pytest.raises(unpack.UnpackError, match='more than the 1,000 bytes that it names'):
        storage_mcap.decompress(packed, name, 1000, 0)
    with pytest.raises(unpack.UnpackError, match='a chunk of .* bytes unpacks to 600 MB, wanted'):
        storage_mcap.decompress(packed, name, 600 * MEGABYTE, 0)
    assert len(storage_mcap.decompress(packed, name, 50 * MEGABYTE, 0)) == 50 * MEGABYTE


@pytest.mark.parametrize(('step_ns', 'is_refused'), [(1, True), (2, False)])
def test_chunks_that_overlap_too_much_are_refused(bag, tmp_path, monkeypatch, step_ns, is_refused):
    """Each chunk is 2 ns long and has 2 MB."""
    path = chunked(tmp_path / 'drive.mcap', CompressionType.ZSTD, (2,) * 8, MEGABYTE, step_ns)
    monkeypatch.setattr(unpack, 'MAX_OVERLAP_BYTES', 3 * MEGABYTE)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert ('its chunks overlap in time so that more than 3 MB must be unpacked at once; '
            in text) == is_refused
    assert ('/image is left out: none of its 16 messages can be read' in text) != is_refused


@pytest.mark.parametrize('has_metadata', [True, False])
def test_a_file_that_unpacks_to_too_much_is_refused(bag, tmp_path, monkeypatch, has_metadata):
    path = recordings.write(tmp_path / 'drive', recordings.street(3), compression='file')
    packed, = path.glob('*.zstd')
    if not has_metadata:
        (path / 'metadata.yaml').unlink()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    disk, usage = unpack.shutil.disk_usage, shutil.disk_usage('/')
    for says_size in (True, False):
        content = zeros(5 * MEGABYTE, says_size=says_size)
        packed.write_bytes(content)
        monkeypatch.setattr(unpack, 'FILE_BYTES', 4 * MEGABYTE)
        monkeypatch.setattr(unpack.shutil, 'disk_usage', disk)
        code, text = bag(path, '-o', tmp_path / 'out')
        assert code == 2
        assert (f'cannot be read: its {len(content):,} bytes unpack to more than 0.0 GB, the '
                'limit for a file of that size\n') in text
        monkeypatch.setattr(unpack, 'FILE_BYTES', 10**9)
        free = 10**9 + says_size * 4 * MEGABYTE
        monkeypatch.setattr(unpack.shutil, 'disk_usage',
                            lambda folder, free=free: type(usage)(10**12, 0, free))
        code, text = bag(path, '-o', tmp_path / 'out')
        assert code == 2
        assert (f"it unpacks to more than '{tmp_path / 'tmp'}' has room for: 0.0 GB beside a "
                'reserve; let TMPDIR name a folder with more\n') in text
    assert not [*(tmp_path / 'tmp').iterdir()]


def test_messages_that_cannot_be_read_are_not_said_to_be_missing(bag, tmp_path):
    rows = [(*row[:3], b'\0\1\0\0cut') if row[1] == RAW else row for row in recordings.street(2)]
    path = recordings.write(tmp_path / 'drive', rows)
    code, text = bag(path, '-o', tmp_path / 'out')
    assert code == 2
    assert '/image is left out: none of its 2 messages can be read' in text
