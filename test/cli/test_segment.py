"""``enet-ros segment`` over folders and videos as people have them: damaged, hidden, turned."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.damaged import as_file, damaged_files, hidden_files, rotated_video, street

from enet_ros.cli.main import main
from enet_ros.cli.segment import Outputs
from enet_ros.media import Video, VideoWriter, read_image, write_image

OPTIONS = ['--resolution', '160x96', '--precision', 'float32']


@pytest.fixture(scope='module')
def frame():
    return street(320, 192)


def segment(out, *inputs):
    return main(['segment', *map(str, inputs), '--out', str(out), *OPTIONS])


def test_the_rest_of_a_folder_is_labeled_and_bad_files_are_named_at_the_end(tmp_path, frame,
                                                                             capsys):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    reasons = damaged_files(folder, frame)
    hidden_files(folder)
    for name in ('a.png', 'zoë.PNG'):
        write_image(folder / name, frame)
    assert segment(out, folder) == 1
    assert sorted(path.name for path in out.glob('*_labels.png')) == ['a_labels.png',
                                                                      'zoë_labels.png']
    lines = capsys.readouterr().err.splitlines()
    assert lines[-len(reasons) - 1].startswith(f'enet-ros segment: {len(reasons)} of '
                                               f'{len(reasons) + 2} inputs could not be read')
    said = dict(line.strip().split("' ", 1) for line in lines[-len(reasons):])
    for name, reason in reasons.items():
        assert reason in said[f"'{folder / name}"]


def test_a_folder_with_hidden_files_beside_is_labeled_without_a_word_on_them(tmp_path, frame,
                                                                              capsys):
    hidden_files(tmp_path)
    write_image(tmp_path / 'a.png', frame)
    assert segment(tmp_path / 'out', tmp_path) == 0
    assert '._a' not in capsys.readouterr().err
    assert len(list((tmp_path / 'out').iterdir())) == 3


def test_a_hidden_file_that_is_named_is_labeled(tmp_path, frame):
    write_image(tmp_path / '.hidden.png', frame)
    assert segment(tmp_path / 'out', tmp_path / '.hidden.png') == 0
    assert (tmp_path / 'out' / '.hidden_labels.png').exists()


def test_one_bad_file_that_is_named_fails_with_its_reason(tmp_path, capsys):
    (tmp_path / 'a.png').write_bytes(b'')
    assert segment(tmp_path / 'out', tmp_path / 'a.png') == 1
    assert "a.png' cannot be read as an image: it is empty" in capsys.readouterr().err


def test_an_image_without_a_known_ending_is_labeled(tmp_path, frame):
    path = tmp_path / 'frame_000123'
    path.write_bytes(as_file(frame, 'JPEG'))
    assert segment(tmp_path / 'out', path) == 0
    assert (tmp_path / 'out' / 'frame_000123_labels.png').exists()


def test_a_file_that_is_neither_image_nor_video_is_refused_before_anything_starts(
        tmp_path, frame, capsys):
    write_image(tmp_path / 'a.png', frame)
    (tmp_path / 'mine.yaml').write_text('a: 1\n')
    assert segment(tmp_path / 'out', tmp_path / 'a.png', tmp_path / 'mine.yaml') == 2
    said = capsys.readouterr().err
    assert "mine.yaml' is neither an image nor a video, wanted a folder, an image, or a file " \
           'that ends in .bmp, .jfif, .jpeg, ' in said
    assert '.webp' in said and '.mp4' in said and 'written to' not in said
    assert not (tmp_path / 'out').exists()


def test_videos_of_a_folder_are_left_out_and_named_at_the_end(tmp_path, frame, capsys):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    write_image(folder / 'a.png', frame)
    for name in ('b.mp4', 'c.AVI', 'd.mkv', '._b.mp4', 'notes.txt'):
        (folder / name).write_bytes(b'')
    write_video(folder / 'b.mp4', frame, 'mp4v')
    assert segment(out, folder, folder / 'b.mp4') == 0  # which is named, so labeled
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"2 videos of folders were left out: '{folder / 'c.AVI'}', '{folder / 'd.mkv'}'. Videos "
        'are labeled only if they are named')
    assert segment(tmp_path / 'out2', folder / 'a.png') == 0
    assert 'left out' not in capsys.readouterr().err


def test_images_of_kinds_that_are_not_read_are_named(tmp_path, frame, capsys):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    for name in ('b.HEIC', '._b.HEIC', 'notes.txt'):
        (folder / name).write_bytes(b'')
    assert segment(out, folder) == 2
    assert "'b.HEIC' must be converted first, to JPEG or PNG" in capsys.readouterr().err
    write_image(folder / 'a.png', frame)
    assert segment(out, folder) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"1 image of a folder was left out: '{folder / 'b.HEIC'}'. Such images must be converted "
        'first, to JPEG or PNG')
    for i in range(8):
        (folder / f'c{i}.gif').write_bytes(b'')
    assert segment(tmp_path / 'out2', folder) == 0
    said = capsys.readouterr().err
    assert f"9 images of folders were left out: '{folder / 'b.HEIC'}', " in said
    assert f"'{folder / 'c6.gif'}' and others. Such" in said and 'c7.gif' not in said


def test_a_folder_of_videos_alone_says_to_name_them(tmp_path, capsys):
    for name in ('b.mp4', 'c.avi', 'notes.txt'):
        (tmp_path / name).write_bytes(b'')
    assert segment(tmp_path / 'out', tmp_path) == 2
    assert (f"'{tmp_path}' has no images, only 2 videos: name each to have it labeled, such as "
            f"'{tmp_path / 'b.mp4'}'") in capsys.readouterr().err


def test_nothing_is_said_to_be_written_where_nothing_was(tmp_path, capsys):
    for name in ('a.png', 'b.mp4'):
        (tmp_path / name).write_bytes(b'')
    assert segment(tmp_path / 'out', tmp_path / 'a.png', tmp_path / 'b.mp4') == 1
    assert 'written to' not in capsys.readouterr().err


def test_a_file_without_permission_is_named(tmp_path, frame, capsys, monkeypatch):
    def refuse(path):  # as for every user but root, whom tests often run as
        raise PermissionError(13, 'Permission denied', str(path))

    write_image(tmp_path / 'a.png', frame)
    monkeypatch.setattr(Path, 'read_bytes', refuse)
    assert segment(tmp_path / 'out', tmp_path / 'a.png') == 1
    assert "a.png' cannot be read as an image: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize('orientation', [3, 6, 7])
def test_outputs_have_the_picture_as_it_is_shown(tmp_path, frame, orientation):
    (tmp_path / 'turned.png').write_bytes(as_file(frame, 'PNG', orientation))
    shown = read_image(tmp_path / 'turned.png')
    write_image(tmp_path / 'shown.png', shown)
    assert segment(tmp_path / 'out', tmp_path / 'turned.png', tmp_path / 'shown.png') == 0
    for kind in ('labels', 'drivable', 'overlay'):
        turned, upright = (cv2.imread(str(tmp_path / 'out' / f'{name}_{kind}.png'), -1)
                           for name in ('turned', 'shown'))
        assert turned.shape[:2] == shown.shape[:2]
        assert np.array_equal(turned, upright)


@pytest.mark.parametrize(('degrees', 'turns'), [(90, -1), (270, 1)])
def test_a_video_is_labeled_as_it_is_shown(tmp_path, frame, degrees, turns):
    rotated_video(tmp_path / 'phone.mp4', frame, degrees)
    shown = next(iter(Video(tmp_path / 'phone.mp4'))).astype(int)
    assert np.abs(shown - np.rot90(frame, turns)).mean() < 10
    assert segment(tmp_path / 'out', tmp_path / 'phone.mp4') == 0
    assert next(iter(Video(tmp_path / 'out' / 'phone_overlay.mp4'))).shape == (320, 192, 3)


def write_video(path, frame, code):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10.0, frame.shape[1::-1])
    for shift in range(20):
        writer.write(np.roll(frame[..., ::-1], 4 * shift, 1))
    writer.release()


def test_the_frames_of_a_video_cut_short_are_labeled_and_it_is_said(tmp_path, frame, capsys):
    write_video(tmp_path / 'drive.avi', frame, 'MJPG')
    data = (tmp_path / 'drive.avi').read_bytes()
    (tmp_path / 'drive.avi').write_bytes(data[:len(data) // 2])
    assert segment(tmp_path / 'out', tmp_path / 'drive.avi') == 1
    count = len(list(Video(tmp_path / 'out' / 'drive_overlay.mp4')))
    assert 5 <= count <= 12
    assert f'cut short: {count} of its 20 frames could be read' in capsys.readouterr().err


def test_frames_after_damage_in_a_video_are_labeled(tmp_path, frame, capsys):
    write_video(tmp_path / 'drive.avi', frame, 'MJPG')
    data = bytearray((tmp_path / 'drive.avi').read_bytes())
    middle, length = len(data) // 2, len(data) // 5
    data[middle:middle + length] = bytes(length)
    (tmp_path / 'drive.avi').write_bytes(data)
    assert segment(tmp_path / 'out', tmp_path / 'drive.avi') == 1
    assert 13 <= len(list(Video(tmp_path / 'out' / 'drive_overlay.mp4'))) < 18
    assert 'of its 20 frames could be read' in capsys.readouterr().err


@pytest.mark.parametrize(('content', 'reason'), [
    (b'', 'it is empty'), (b'no video', 'damaged, cut short'), (None, 'damaged, cut short')])
def test_a_video_that_cannot_be_opened_does_not_stop_the_others(tmp_path, frame, capsys, content,
                                                                reason):
    writer = VideoWriter(tmp_path / 'good.mp4', 10.0)
    for _ in range(3):
        writer.write(frame)
    writer.close()
    whole = (tmp_path / 'good.mp4').read_bytes()
    # An .mp4 has its index at the end: what is cut there cannot be opened.
    (tmp_path / 'bad.mp4').write_bytes(whole[:len(whole) // 2] if content is None else content)
    assert segment(tmp_path / 'out', tmp_path / 'bad.mp4', tmp_path / 'good.mp4') == 1
    assert len(list(Video(tmp_path / 'out' / 'good_overlay.mp4'))) == 3
    said = capsys.readouterr().err
    assert "bad.mp4' cannot be read as a video" in said and reason in said


def test_names_of_other_bytes_than_utf8_end_nothing(tmp_path, frame, capsys):
    """OpenCV would end the process at such a name."""
    write_video(tmp_path / 'a.avi', frame, 'MJPG')
    name = os.fsdecode(b'caf\xe9')
    (tmp_path / 'a.avi').rename(tmp_path / f'{name}.avi')
    write_image(tmp_path / f'{name}_.png', frame)
    assert segment(tmp_path / 'out', tmp_path / f'{name}.avi', tmp_path / f'{name}_.png') == 1
    assert 'its name is not UTF-8, so rename it' in capsys.readouterr().err
    assert (tmp_path / 'out' / f'{name}__labels.png').exists()
    with pytest.raises(OSError, match='not UTF-8'):
        VideoWriter(tmp_path / f'{name}.mp4', 10.0).write(frame)


def test_help_says_what_the_exit_codes_mean(capsys):
    with pytest.raises(SystemExit):
        main(['segment', '--help'])
    assert 'exit code:\n  0  everything was labeled\n  1  files' in capsys.readouterr().out


@pytest.mark.parametrize(('names', 'with_frames', 'clash'), [
    (['x.png', 'x.jpg'], False, 'x_labels.png'),
    (['x.mp4', 'x.avi'], False, 'x_overlay.mp4'),
    (['x_000000.png', 'x.mp4'], True, 'x_000000_labels.png'),
    (['x.mp4', 'x_1234567.png'], True, 'x_1234567_labels.png'),
    (['x_000000.png', 'x.mp4'], False, None),
    (['x.png', 'x.mp4'], True, None),
    (['x.png', 'x.png'], False, None),
])
def test_inputs_that_would_write_one_file_are_refused(names, with_frames, clash):
    paths = [Path(name) for name in names]
    if clash is None:
        assert Outputs(paths, with_frames=with_frames).files_to_replace(Path('nowhere')) == []
        return
    with pytest.raises(ValueError, match=f'would both write {clash}; wanted different names'):
        Outputs(paths, with_frames=with_frames)


@pytest.mark.parametrize('fps', [0.5, 15.0, 23.976, 30000 / 1001, 66.6667, 83.3333, 119.88, 999.9])
def test_a_video_of_any_rate_is_written_with_that_rate(tmp_path, frame, fps):
    with VideoWriter(tmp_path / 'a.mp4', fps) as writer:
        for _ in range(3):
            writer.write(frame)
    assert Video(tmp_path / 'a.mp4').fps == pytest.approx(fps, rel=1e-3)


def test_a_video_may_have_a_time_as_its_name(tmp_path, frame, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoWriter('a.mp4', 10.0) as writer:
        writer.write(frame)
    Path('a.mp4').rename('2026-05-01T12:30:00.mp4')
    assert len(list(Video(Path('2026-05-01T12:30:00.mp4')))) == 1
