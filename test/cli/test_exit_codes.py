"""Exit codes and options of the command line."""

import argparse

import pytest

from enet_ros.cli import options
from enet_ros.cli.main import main


def test_ctrl_c_has_an_exit_code_of_its_own(monkeypatch, capsys):
    from enet_ros.cli import params

    def stop(args):
        raise KeyboardInterrupt
    monkeypatch.setattr(params, 'run', stop)
    assert main(['params']) == 130
    assert capsys.readouterr().err == 'stopped\n'


def test_an_image_to_draw_ends_in_png():
    assert options.png('a.PNG').name == 'a.PNG'
    with pytest.raises(argparse.ArgumentTypeError, match='wanted a name that ends in .png'):
        options.png('scores.json')  # --worst scores.json would replace another file


def test_the_labels_that_are_written_are_those_of_the_image(tmp_path, road_frame, capsys):
    """At the image's size and the right way up, and drivable where the labels say so."""
    import numpy as np

    from enet_ros.media import read_image, write_image
    from enet_ros.perception.segmenter import Segmenter
    network = {'resolution': (160, 96), 'precision': 'float32'}
    write_image(tmp_path / 'a.png', road_frame)
    assert main(['segment', str(tmp_path / 'a.png'), '--out', str(tmp_path / 'out'),
                 '--resolution', '160x96', '--precision', 'float32']) == 0
    segmenter = Segmenter.from_file(**network)
    labels = segmenter.segment([road_frame])[0].labels
    assert len(np.unique(labels)) > 2 and np.mean(labels == labels[::-1]) < 0.9
    written = read_image(tmp_path / 'out' / 'a_labels.png')[..., 0]
    assert np.mean(written == labels) > 0.999
    lut = segmenter.checkpoint.class_map.drivable_lut()
    drivable = read_image(tmp_path / 'out' / 'a_drivable.png')[..., 0]
    assert np.array_equal(drivable, lut[written])


def test_a_video_that_is_named_and_lies_in_a_folder_by_a_link_is_not_called_left_out(tmp_path):
    from enet_ros.cli.segment import _find_files
    folder = tmp_path / 'drive'
    folder.mkdir()
    (folder / 'a.png').touch()
    (folder / 'b.mp4').touch()
    (tmp_path / 'link').symlink_to(folder)
    paths, left_out = _find_files([str(tmp_path / 'link'), str(folder / 'b.mp4')])
    assert [path.name for path in paths] == ['a.png', 'b.mp4'] and not left_out


def test_an_input_is_not_overwritten_even_by_force(tmp_path, capsys):
    import numpy as np

    from enet_ros.media import write_image
    for name in ('a.png', 'a_overlay.png'):
        write_image(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    before = (tmp_path / 'a_overlay.png').read_bytes()
    assert main(['segment', str(tmp_path), '--out', str(tmp_path), '--force']) == 2
    assert 'wanted another --out' in capsys.readouterr().err
    assert (tmp_path / 'a_overlay.png').read_bytes() == before


def test_a_video_keeps_its_rate_and_is_judged_by_the_limit_of_the_weights(tmp_path, road_frame,
                                                                          monkeypatch, capsys):
    from enet_ros.cli import suspects
    from enet_ros.media import Video, VideoWriter
    with VideoWriter(tmp_path / 'a.mp4', 7.0) as writer:
        for _ in range(3):
            writer.write(road_frame)
    given = []
    counter = suspects.SuspectCounter
    monkeypatch.setattr(suspects, 'SuspectCounter',
                        lambda *args: given.append(args) or counter(*args))
    assert main(['segment', str(tmp_path / 'a.mp4'), '--out', str(tmp_path / 'out'),
                 '--resolution', '640x360', '--backend', 'openvino']) == 0
    from enet_ros.network.checkpoint import read_checkpoint, weights_path
    assert given == [(7.0, read_checkpoint(weights_path('')).least_confidence)]
    assert Video(tmp_path / 'out' / 'a_overlay.mp4').fps == 7.0


def test_a_video_of_ten_frames_a_second_is_looked_at_by_its_own_time(monkeypatch):
    import numpy as np

    from enet_ros.cli.suspects import SuspectCounter
    counter, times = SuspectCounter(10.0, 0.0), []
    monkeypatch.setattr(counter._judge, 'judge', lambda *args: times.append(args[3]))
    for _ in range(3):
        counter.add(np.zeros((1, 1, 3), np.uint8), None)
    assert times == [0.0, 0.1, 0.2]


def test_an_image_of_which_the_network_is_unsure_is_suspect(road_frame):
    from types import SimpleNamespace

    import numpy as np

    from enet_ros.cli.suspects import suspicion_of_image
    from enet_ros.perception.segmenter import Segmentation
    from enet_ros.perception.suspicion import Fault
    network = SimpleNamespace(resolution=(320, 192), least_confidence=0.7)
    size = road_frame.shape[:2]
    for confidence, fault in ((0.8, None), (0.6, Fault.UNSURE)):
        found = suspicion_of_image(network, road_frame, Segmentation(
            np.zeros(size, np.uint8), np.full(size, confidence, np.float32)))
        assert (found and found.fault) == fault
