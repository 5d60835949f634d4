"""What fuzzing found, each in the smallest form that shows it. None of it may come back."""

import io
import json
import struct
import time
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import save_file
from support.damaged import png_chunk
from support.fuzz_memory import PeakMemory
from support.jpegs import jpeg, with_extra_bytes

from enet_ros.common.one_line_error import OneLineError, in_one_line
from enet_ros.common.plain_yaml import PlainYamlError, load_yaml
from enet_ros.importers.pickled_tensors import load_pickled
from enet_ros.network.checkpoint import CheckpointError, read_checkpoint, weights_path
from enet_ros.network.class_files import read_class_file
from enet_ros.network.class_map import ClassMapError
from enet_ros.network.resolution import check_resolution
from enet_ros.perception.encodings import EncodingError, decode_compressed, decode_raw_image
from enet_ros.perception.images.formats.jpeg import MAX_PIECES
from enet_ros.perception.parameters.files import matches, values_of_node
from enet_ros.perception.parameters.settings import make_settings
from enet_ros.perception.parameters.table import ConfigError

DEEP = ['[' * 200_000, '{a: ' * 100_000, '- ' * 100_000, '? ' * 100_000, '[' * 41 + ']' * 41]
ALIASES = ['a: &a {x: *a}', 'a: &a [*a, *a]', 'a: &a {b: 1}\n<<: *a',
           '\n'.join(['l0: &l0 {x: 1}', *(f'l{i}: &l{i} {{a: *l{i - 1}, b: *l{i - 1}}}'
                                          for i in range(1, 30))])]
NO_VALUES = ['2001-99-99', '!!int x', '!!float x', '!!timestamp x', '!!bool x',
             '0x' + 'F' * 6000, '9' * 5000]


@pytest.mark.parametrize('text', [*DEEP, *ALIASES, *NO_VALUES], ids=lambda text: text[:12])
def test_yaml_that_is_a_trap_is_refused_at_once_by_every_reader(tmp_path, text):
    started = time.process_time()
    with pytest.raises(PlainYamlError):
        load_yaml(text)
    (tmp_path / 'p.yaml').write_text(text)
    with pytest.raises(ConfigError, match='p.yaml cannot be read: '):
        values_of_node(tmp_path / 'p.yaml', '/segment_node')
    with pytest.raises(ClassMapError, match='p.yaml: '):
        read_class_file(tmp_path / 'p.yaml')
    assert time.process_time() - started < 0.5


def test_the_slow_parser_of_a_machine_without_libyaml_has_the_same_limits(monkeypatch):
    monkeypatch.delattr(yaml, 'CSafeLoader', raising=False)
    for text in ('{a: ' * 1000, ALIASES[0], NO_VALUES[0]):
        with pytest.raises(PlainYamlError):
            load_yaml(text)
    assert load_yaml('a: [1, {b: c}]') == {'a': [1, {'b': 'c'}]}


@pytest.mark.parametrize('ending', ['.yaml', '.json', '.txt'])
def test_a_class_file_of_any_size_takes_little_memory(tmp_path, ending):
    path = tmp_path / f'c{ending}'
    with path.open('wb') as file:
        file.truncate(2_000_000_000)  # sparse: no disk is taken
    peak = PeakMemory()
    with pytest.raises(ClassMapError, match='more than 1048576 bytes'):
        read_class_file(path)
    assert peak.grown_mb() < 20


@pytest.mark.parametrize(('name', 'shown'), [
    ('a\nb', r"'a\\nb'"), ('\x1b[31mred', r"'\\x1b\[31mred'"), ('\0', r"'\\x00'"),
    ('\ud800', r"'\\ud800'"), ('\u202eroad', r"'\\u202eroad'"), ('x' * 101, "'xxx"), (' ', "' '")])
def test_a_class_name_that_no_log_can_show_is_refused(tmp_path, name, shown):
    path = tmp_path / 'c.json'
    path.write_text(json.dumps([{'name': name}]))
    with pytest.raises(ClassMapError, match=f'a class name is {shown}') as error:
        read_class_file(path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize('color', [[[1], 2, 3], [{'a': 1}, 2, 3], ['a', 1, 2], [1.0, 2, 3]])
def test_a_color_of_no_numbers_is_refused(tmp_path, color):
    path = tmp_path / 'c.json'
    path.write_text(json.dumps([{'name': 'Road', 'color': color}]))
    with pytest.raises(ClassMapError, match='c.json: entry .*wanted name'):
        read_class_file(path)


@pytest.mark.parametrize('name', ['threads', 'resolution', 'ground.height'])
def test_a_whole_number_too_large_for_a_float_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=name):
        make_settings({name: 10**400})


def test_a_key_of_many_stars_is_matched_at_once():
    started = time.process_time()
    assert matches('/**' * 5000, '/a/b/c/segment_node')
    assert not matches('/**' * 5000 + '/other', '/a/b/c/segment_node')
    assert matches('/**/*/segment_node', '/a/b/segment_node')
    assert not matches('/*', '/a/segment_node')
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize('encoding', ['rgb8\n[FATAL] stop', '\x1b[2J', 'x' * 5000, '\0'])
def test_an_encoding_cannot_write_lines_or_codes_into_a_log(encoding):
    with pytest.raises(EncodingError, match='encoding is') as error:
        decode_raw_image(bytes(12), encoding, 2, 2, 6)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 800


def test_a_long_error_keeps_its_start_and_its_end():
    text = in_one_line('start' + '\x1b' * 5000 + 'end')
    assert text.startswith('start') and text.endswith('end') and text.isprintable()
    assert len(text) < 800
    assert str(OneLineError('a\n b\tc')) == 'a b c'


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('resolution', '[0, 0]', r"'resolution' is \[0, 0\]"),
    ('resolution', '[640.5, 360]', r"'resolution' is \[640.5, 360\]"),
    ('resolution', '[1e299, 8]', "'resolution' is"), ('resolution', '[-8, -8]', "'resolution' is"),
    ('classes', '["\\ud800"]', 'class name'), ('classes', '["a\\nb"]', 'class name'),
    ('architecture', '\x1b[31m', r"'architecture' is '\\x1b")])
def test_metadata_that_nothing_can_be_done_with_is_refused(tmp_path, key, value, message):
    path = tmp_path / 'w.safetensors'
    names = json.loads(value) if key == 'classes' else ['Road']
    metadata = {'classes': json.dumps(names), 'mean': '[0, 0, 0]', 'std': '[1, 1, 1]'}
    save_file({'fullconv.weight': np.ones((16, len(names), 3, 3), np.float32)}, path,
              metadata | {key: value})
    with pytest.raises(CheckpointError, match=message) as error:
        read_checkpoint(path)
    assert str(error.value).isprintable()


def test_the_name_of_an_array_cannot_fill_a_log(tmp_path):
    path = tmp_path / 'w.safetensors'
    length = struct.unpack('<Q', weights_path('').read_bytes()[:8])[0]
    header = json.loads(weights_path('').read_bytes()[8:8 + length])
    header['\x1b[31m' + 'x' * 5000] = header.pop('fullconv.weight') | {'data_offsets': [9, 3]}
    content = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(content)) + content)
    with pytest.raises(CheckpointError, match='not a readable safetensors file') as error:
        read_checkpoint(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 800


def black_png(width, height, bits, color_type, channels):
    row = bytes(1 + width * channels * bits // 8)
    header = struct.pack('>IIBBBBB', width, height, bits, color_type, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', header)
            + png_chunk(b'IDAT', zlib.compress(row * height, 1)) + png_chunk(b'IEND', b''))


@pytest.mark.parametrize(('side', 'kind', 'is_read'), [
    (8000, (8, 0, 1), True), (6400, (8, 2, 3), True), (8000, (8, 2, 3), False),
    (4500, (16, 2, 3), True), (5000, (16, 2, 3), False), (7900, (16, 0, 1), True)])
def test_the_largest_png_takes_less_memory_than_promised(side, kind, is_read):
    data, peak = black_png(side, side, *kind), PeakMemory()
    if is_read:
        assert decode_compressed(data).shape == (side, side, 3)
    else:
        with pytest.raises(EncodingError, match='MB, wanted at most 256 MB'):
            decode_compressed(data)
    assert peak.grown_mb() < 300 + side * side * 3 / 1e6 * is_read  # with the RGB of this test


def test_a_jpeg_of_very_many_restarts_with_extra_bytes_is_refused_soon():
    side = 8 * (int(MAX_PIECES ** 0.5) + 2)
    data = with_extra_bytes(jpeg(np.zeros((side, side, 3), np.uint8), sampling='444', restart=1),
                            4, 4)
    seconds = []
    for _ in range(3):  # the time of this thread alone, and the best of three
        started = time.thread_time()
        with pytest.raises(EncodingError, match='extraneous'):
            decode_compressed(data)
        seconds.append(time.thread_time() - started)
    assert min(seconds) < 0.5


def lzw_tiff(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'TIFF', compression='tiff_lzw', strip_size=1 << 30)
    return file.getvalue()


def test_checking_lzw_takes_no_memory_beside_the_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8)
    data, peak = lzw_tiff(pixels), PeakMemory()
    assert np.array_equal(decode_compressed(data), pixels)
    assert peak.grown_mb() < 7 * 4 + 3 * 4 + 20  # the decoder's, the RGB of this test, and a rest


def test_a_tiff_of_very_many_strips_is_refused():
    pixels = np.zeros((9000, 8), np.uint8)
    file = cv2.imencode('.tiff', pixels, [cv2.IMWRITE_TIFF_COMPRESSION, 5,
                                          cv2.IMWRITE_TIFF_ROWSPERSTRIP, 1])[1].tobytes()
    with pytest.raises(EncodingError, match='9000 numbers in tag 27[39], wanted at most 8192'):
        decode_compressed(file)


def zipped(pickled):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', pickled)
        archive.writestr('archive/version', '3')
    return file.getvalue()


@pytest.mark.parametrize('wrap', [bytes, zipped])
@pytest.mark.parametrize(('pickled', 'message'), [
    (b'\x80\x02c' + b'x' * 500_000 + b'\nname\n.', 'names a class in more than 1000 characters'),
    (b'\x80\x02' + b'(' * 20_000_000 + b'.', 'its pickle (has|takes)')])
def test_a_pickle_without_measure_is_refused_soon(wrap, pickled, message):
    content, peak, started = wrap(pickled), PeakMemory(), time.process_time()
    with pytest.raises(CheckpointError, match=message):
        load_pickled(content)
    assert time.process_time() - started < 1.0
    assert peak.grown_mb() < 300


@pytest.mark.parametrize('resolution', [[10**400, 8], [10**400 + 8, 12], [12, 10**30]])
def test_a_resolution_too_large_for_a_float_is_refused(resolution):
    with pytest.raises(ValueError, match='resolution is'):
        check_resolution(resolution)
