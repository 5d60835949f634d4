"""Which files and folders are recordings, and what the results are called."""

import shutil

import pytest

pytest.importorskip('rosbags', reason='the extra bag is not installed')

from support import recordings  # noqa: E402

from enet_ros.recordings.files import name_of  # noqa: E402
from enet_ros.recordings.inputs import find_recordings, left_out  # noqa: E402
from enet_ros.recordings.reader import RecordingError  # noqa: E402


@pytest.mark.parametrize(('file', 'name'), [
    ('drive.mcap', 'drive'), ('Drive.DB3', 'Drive'), ('drive.mcap.zstd', 'drive'),
    ('DRIVE.MCAP.ZST', 'DRIVE'), ('a.mcap_fixed.mcap', 'a.mcap_fixed'), ('.mcap', '.mcap'),
    ('\u0130stanbul.mcap', '\u0130stanbul'), ('drive.txt', 'drive.txt')])
def test_the_name_of_a_result_is_that_of_the_file_without_its_suffix(tmp_path, file, name):
    (tmp_path / file).write_bytes(b'')
    assert name_of(tmp_path / file) == name


@pytest.fixture
def drive(tmp_path):
    """A recording of two frames: a file, with a folder of its own."""
    return recordings.write(tmp_path / 'drive', recordings.street(2)) / 'drive.mcap'


@pytest.mark.parametrize('options', [(), ('--jobs', 1)])
def test_a_link_has_the_suffix_and_the_name_by_which_it_is_given(bag, tmp_path, drive, options):
    drive.rename(tmp_path / 'blob123')
    (tmp_path / 'monday.mcap').symlink_to('blob123')
    code, text = bag(tmp_path / 'monday.mcap', '-o', tmp_path / 'out', *options)
    assert code == 0, text
    out = tmp_path / 'out' / 'monday' if options else tmp_path / 'out'
    assert len(recordings.decoded(out)['/enet/labels']) == 2


@pytest.mark.parametrize('name', ['DRIVE.MCAP', 'Drive.DB3', 'Drive.MCAP.Zst'])
def test_suffixes_in_capitals_are_read(bag, tmp_path, name):
    storage = 'sqlite3' if 'DB3' in name else 'mcap'
    folder = recordings.write(tmp_path / 'drive', recordings.street(2), storage=storage,
                              compression='file' if 'Zst' in name else None)
    file, = (path for path in folder.iterdir() if path.name != 'metadata.yaml')
    file.rename(tmp_path / name)
    code, text = bag(tmp_path / name, '-o', tmp_path / 'out')
    assert code == 0, text
    assert len(recordings.decoded(tmp_path / 'out')['/enet/labels']) == 2


def test_an_unfinished_result_is_no_recording(tmp_path, drive):
    folder = tmp_path / 'drives'
    (folder / 'labeled.partial').mkdir(parents=True)
    shutil.copy(drive, folder / 'labeled.partial' / 'labeled_0.mcap')
    shutil.copy(drive, folder)
    assert find_recordings([folder]) == ([folder], True)
    shutil.copy(drive, folder / 'other.mcap')
    assert find_recordings([folder]) == ([folder / 'drive.mcap', folder / 'other.mcap'], False)


def test_a_folder_of_bags_of_ros_1_says_what_converts_them(tmp_path):
    (tmp_path / 'drive.BAG').write_bytes(b'#ROSBAG V2.0')
    with pytest.raises(RecordingError, match='holds no recording: .*; rosbags-convert turns'):
        find_recordings([tmp_path])


def test_a_recording_that_is_given_twice_is_refused(tmp_path, drive):
    (tmp_path / 'link').symlink_to(drive.parent)
    for again in (drive.parent, tmp_path / 'link'):
        with pytest.raises(RecordingError, match=f"'{again}' is given twice, or by a link"):
            find_recordings([drive.parent, again])


def test_recordings_that_lie_too_deep_are_named(bag, tmp_path, drive):
    drives = tmp_path / 'drives'
    for folder in ('robot1/2026/day', 'results/day', '.hidden/day', 'old.partial/day'):
        shutil.copytree(drive.parent, drives / folder)
    (drives / 'images').mkdir()
    (drives / 'results' / 'manifest.json').write_bytes(b'')
    sentence = f"'{drives / 'robot1'}' holds recordings that are left out: give that folder by it"
    code, text = bag(drives, '-o', tmp_path / 'out')
    assert code == 2 and 'holds no recording' in text and text.count('are left out') == 1
    assert sentence in text
    shutil.copytree(drive.parent, drives / 'drive')
    code, text = bag(drives, '-o', tmp_path / 'out', '--outputs', 'labels')
    assert code == 0 and f'warning: {sentence}' in text and text.count('are left out') == 1
    assert [path.name for path in find_recordings([drives])[0]] == ['drive']
    assert left_out([drives]) and not left_out([drives, drives / 'robot1/2026'])
