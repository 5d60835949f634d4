"""``enet-ros segment`` names images and videos that cannot be trusted, and labels them."""

import cv2
import numpy as np
import pytest

pytest.importorskip('tqdm', reason='progress is shown with tqdm')

from enet_ros.cli.main import main  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402

SIZE = (320, 192)
BLACK = np.zeros((192, 320, 3), np.uint8)


@pytest.fixture(scope='module')
def street():
    return RoadScene(*SIZE).render(1.0)[0]


def segment(*arguments):
    return main(['segment', *(str(argument) for argument in arguments), '--resolution', '160x96',
                 '--precision', 'float32'])


def test_a_suspect_image_is_named_and_labeled(street, tmp_path, capsys):
    folder = tmp_path / 'images'
    folder.mkdir()
    for name, frame in (('black', BLACK), ('street', street),
                        ('blurred', cv2.GaussianBlur(street, (0, 0), 20))):
        cv2.imwrite(str(folder / f'{name}.png'), frame[..., ::-1])
    assert segment(folder, '--out', tmp_path / 'out') == 0
    said = capsys.readouterr().err
    assert f"warning: '{folder / 'black.png'}' is suspect: the image is black: 100 %" in said
    assert f"warning: '{folder / 'blurred.png'}' is suspect: the image is blurred" in said
    assert said.count('is suspect') == 2
    for name in ('black', 'street', 'blurred'):
        assert (tmp_path / 'out' / f'{name}_labels.png').is_file()


def test_a_video_is_summed_up(street, tmp_path, capsys):
    path = tmp_path / 'drive.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, SIZE)
    for index in range(12):
        writer.write(BLACK if 3 <= index < 7 else np.roll(street, index, axis=1)[..., ::-1])
    writer.release()
    assert segment(path, '--out', tmp_path / 'out') == 0
    assert (f"warning: '{path}': 4 of 12 frames are suspect (4 black); the first is frame 3: the "
            'image is black') in capsys.readouterr().err
