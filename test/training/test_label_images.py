"""Label images of every depth, with palettes, masks, colors, and of turned frames."""

import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from support.damaged import as_file, hidden_files, png_chunk, png_of

from enet_ros.media import orient
from enet_ros.network.class_map import UNKNOWN
from enet_ros.network.classes import CAMVID_LABEL_COLORS
from enet_ros.training.data_survey import survey
from enet_ros.training.datasets import camvid, open_dataset
from enet_ros.training.labeled_frames import DatasetError

WIDTH, HEIGHT = 20, 8
NAMES = ('path', 'grass', 'tree', 'wall', *(f'other{i}' for i in range(11)))


@pytest.fixture
def tree(tmp_path):
    """Return a function that writes a frame with a label file, and opens the data set."""
    def write(label, frame=None, classes=NAMES, name='a', label_name='{}.png'):
        for folder in ('train', 'trainannot'):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / 'classes.json').write_text(json.dumps([{'name': n} for n in classes]))
        frame = as_file(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), 'PNG') if frame is None \
            else frame
        (tmp_path / 'train' / f'{name}.png').write_bytes(frame)
        (tmp_path / 'trainannot' / label_name.format(name)).write_bytes(label)
        return open_dataset('folders', tmp_path, 'train')
    return write


def packed(values, bits):
    """Return the bytes of each row of values of few bits."""
    rows = []
    for row in values:
        text = ''.join(f'{value:0{bits}b}' for value in row)
        text += '0' * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, 'big'))
    return rows


def random_values(highest, seed=0):
    values = np.random.default_rng(seed).integers(0, highest + 1, (HEIGHT, WIDTH))
    values.reshape(-1)[:highest + 1] = range(highest + 1)
    return values


@pytest.mark.parametrize('palette', [False, True])
@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_the_value_is_the_class_at_every_depth(tree, bits, palette):
    values = random_values(min(2 ** bits - 1, 14))
    colors = np.random.default_rng(1).integers(0, 256, 3 * 2 ** bits, np.uint8).tobytes()
    data = tree(png_of(packed(values, bits), WIDTH, HEIGHT, bits, 3 if palette else 0,
                       colors if palette else b''))
    assert data.check() == ()
    assert np.array_equal(data.read(0)[1], values)


def test_a_palette_of_voc_keeps_its_border_unlabeled(tree):
    values = random_values(14).astype(np.uint8)
    values[0] = 255
    image = Image.fromarray(values).convert('P')
    image.putdata(values.ravel().tolist())
    image.putpalette(np.random.default_rng(2).integers(0, 256, 768).tolist())
    data = tree(as_file(image, 'PNG', transparency=0))
    data.check()
    assert np.array_equal(data.read(0)[1], values)


def test_labels_of_sixteen_bits_are_read_while_they_fit(tree):
    values = random_values(14).astype(np.uint16)
    good, content = cv2.imencode('.png', values)
    assert good
    assert np.array_equal(tree(content.tobytes()).read(0)[1], values)
    values[0, 0] = 26001
    with pytest.raises(DatasetError, match=r'a\.png: label value 26001, wanted 0-14, 255'):
        tree(cv2.imencode('.png', values)[1].tobytes()).check()


@pytest.mark.parametrize('mode', ['gamma', 'icc'])
def test_gamma_and_color_profiles_change_no_class(tree, mode):
    values = random_values(14).astype(np.uint8)
    content = as_file(Image.fromarray(values), 'PNG', **(
        {'icc_profile': b'profile' * 20} if mode == 'icc' else {}))
    if mode == 'gamma':
        content = content[:33] + png_chunk(b'gAMA', (22222).to_bytes(4, 'big')) + content[33:]
        assert Image.open(io.BytesIO(content)).info['gamma'] == pytest.approx(0.22222)
    assert np.array_equal(tree(content).read(0)[1], values)


@pytest.mark.parametrize(('make', 'said'), [
    (lambda v: Image.fromarray(np.dstack((v * 9, v * 5, v))), '3 channels of colors, wanted one '
     'with class ids; docs/training.md'),
    (lambda v: Image.fromarray(np.dstack((v, v, v))), '3 channels of equal values'),
    (lambda v: Image.fromarray(np.dstack((v, v, v, v * 0 + 255))), '4 channels of equal values'),
    (lambda v: Image.fromarray(np.dstack((v, v, v, v))), 'transparent pixels'),
    (lambda v: Image.fromarray(np.dstack((v, v)), 'LA'), 'transparent pixels')])
def test_other_channels_are_named(tree, make, said):
    with pytest.raises(DatasetError, match=said) as error:
        tree(as_file(make(random_values(14).astype(np.uint8)), 'PNG')).check()
    assert 'trainannot/a.png' in str(error.value)


def test_a_channel_of_full_opacity_is_no_reason_to_refuse(tree):
    values = random_values(14).astype(np.uint8)
    image = Image.merge('LA', (Image.fromarray(values), Image.new('L', (WIDTH, HEIGHT), 255)))
    assert np.array_equal(tree(as_file(image, 'PNG')).read(0)[1], values)


def test_a_label_in_tiff_is_refused_without_a_word_about_jpeg(tree):
    values = random_values(14).astype(np.uint8)
    with pytest.raises(DatasetError, match='a label image in TIFF, wanted PNG$'):
        tree(as_file(Image.fromarray(values), 'TIFF'), label_name='{}.tif').check()


@pytest.mark.parametrize('name', ['{}.jpg', '{}.png'])
def test_a_label_in_jpeg_is_refused_whatever_its_name(tree, name):
    values = random_values(14).astype(np.uint8)
    with pytest.raises(DatasetError, match='a label image in JPEG, wanted PNG'):
        tree(as_file(Image.fromarray(values)), label_name=name).check()


def test_colors_of_camvid_are_read_from_a_palette_and_beside_full_opacity(tmp_path):
    colors = [color for group in CAMVID_LABEL_COLORS.values() for color in group]
    values = random_values(31).astype(np.uint8)
    rgb = np.array(colors, np.uint8)[values]
    image = Image.fromarray(values).convert('P')
    image.putdata(values.ravel().tolist())
    image.putpalette(np.array(colors, np.uint8).ravel().tolist())
    opaque = np.dstack((rgb, np.full_like(rgb[..., :1], 255)))
    for folder in ('train', 'train_labels'):
        (tmp_path / folder).mkdir()
    for name, content in (('a', rgb), ('b', image), ('c', opaque)):
        (tmp_path / 'train' / f'{name}.png').write_bytes(as_file(rgb, 'PNG'))
        (tmp_path / 'train_labels' / f'{name}_L.png').write_bytes(as_file(content, 'PNG'))
    hidden_files(tmp_path / 'train_labels')
    data = camvid(tmp_path, 'train')
    data.check()
    first, *others = [labels for _, labels in data]
    assert len(others) == 2 and set(np.unique(first)) == {*range(11), UNKNOWN}
    assert all(np.array_equal(first, labels) for labels in others)


@pytest.mark.parametrize('orientation', range(2, 9))
def test_frames_are_trained_as_they_are_shown(tree, orientation):
    stored = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    values = random_values(14).astype(np.uint8)
    data = tree(as_file(np.ascontiguousarray(orient(values, orientation)), 'PNG'),
                as_file(stored, 'PNG', orientation))
    frame, labels = data.read(0)
    assert np.array_equal(frame, orient(stored, orientation))
    assert np.array_equal(labels, orient(values, orientation))
    notes = data.check()
    if orientation in (2, 3, 4):
        assert '1 frames have an EXIF orientation that keeps their size, first ' in notes[0]
        assert 'taken as they are shown, and their labels must fit that' in notes[0]
        assert f'\n  {notes[0]}' in str(survey(data))  # which train prints and writes to data.txt
    else:
        assert notes == ()


@pytest.mark.parametrize('orientation', range(2, 9))
def test_a_label_with_an_orientation_of_its_own_is_read_as_it_is_shown(tree, orientation):
    values = random_values(14).astype(np.uint8)
    data = tree(as_file(Image.fromarray(values), 'PNG', orientation),
                as_file(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 'PNG', orientation))
    assert data.check() == ()
    assert np.array_equal(data.read(0)[1], orient(values, orientation))


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_a_label_that_fits_the_frame_as_stored_is_explained(tree, orientation):
    values = random_values(14).astype(np.uint8)
    data = tree(as_file(Image.fromarray(values), 'PNG'),
                as_file(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 'PNG', orientation))
    with pytest.raises(DatasetError, match=(
            rf'a\.png: 20x8, but its frame is 8x20 as it is shown \(EXIF orientation '
            rf'{orientation}\); the label fits the frame as it is stored')):
        data.check()


def test_only_the_label_is_turned(tree):
    values = random_values(14).astype(np.uint8)
    with pytest.raises(DatasetError, match='orientation of the label is 6, that of the frame 1'):
        tree(as_file(Image.fromarray(values), 'PNG', 6)).check()


def test_hidden_files_upper_case_links_and_other_alphabets_pair(tree, tmp_path):
    label = as_file(Image.fromarray(random_values(14).astype(np.uint8)), 'PNG')
    tree(label, name='straße 一')
    tree(label, name='b', label_name='{}.PNG')
    (tmp_path / 'train' / 'b.png').rename(tmp_path / 'train' / 'b.JPG')
    (tmp_path / 'train' / 'c.png').symlink_to('b.JPG')
    (tmp_path / 'trainannot' / 'c.png').symlink_to('b.PNG')
    for folder in ('train', 'trainannot'):
        hidden_files(tmp_path / folder)
    data = open_dataset('folders', tmp_path, 'train')
    data.check()
    assert [frame.name for frame, _ in data.pairs] == ['b.JPG', 'c.png', 'straße 一.png']


def test_two_files_of_one_name_are_a_problem(tree, tmp_path):
    label = as_file(Image.fromarray(random_values(14).astype(np.uint8)), 'PNG')
    tree(label)
    (tmp_path / 'train' / 'a.jpg').write_bytes(b'')
    with pytest.raises(DatasetError, match=r'a\.png: has the name of a\.jpg, wanted one file'):
        open_dataset('folders', tmp_path, 'train')


def test_ids_counted_from_one_are_told_how_they_are_counted(tree):
    values = random_values(14).astype(np.uint8) + 1
    with pytest.raises(DatasetError, match=r'label value 15 .*; ids are counted from 0'):
        tree(as_file(Image.fromarray(values), 'PNG')).check()
