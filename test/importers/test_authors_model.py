"""The model of ENet's authors: read whole, and equal to what OpenCV computes with it."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from enet_ros.importers.import_checkpoint import import_checkpoint
from enet_ros.network.build import build_network
from enet_ros.network.class_files import default_class_map
from enet_ros.perception.segmenter import Segmenter

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def authors(shared):
    return import_checkpoint(shared / 'weights' / 'enet-model.net')


def test_authors_model_is_read_whole(authors, shared):
    names = (shared / 'weights' / 'enet-classes.txt').read_text().split()
    assert list(authors.class_map.names) == names
    assert authors.class_map.drivable_names == ('Road',)
    assert (authors.resolution, authors.architecture) == ((1024, 512), 'enet')
    assert sum(p.numel() for p in build_network(authors).parameters()) == 364_712


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_authors_model_agrees_with_opencv(authors, shared, capsys):
    """ENET_ROS_IMPORT_FRAMES=20 pytest -s -m slow test/importers prints the figure."""
    if not hasattr(cv2.dnn, 'readNetFromTorch') or cv2.__version__.startswith('5'):
        pytest.skip(f'OpenCV {cv2.__version__} reads no Torch files')
    count = int(os.environ.get('ENET_ROS_IMPORT_FRAMES', '5'))
    oracle = cv2.dnn.readNetFromTorch(str(shared / 'weights' / 'enet-model.net'))
    segmenter = Segmenter(authors, authors.resolution, 'torch', 'float32')
    paths = sorted((shared / 'camvid' / 'val').glob('*.png'))
    agreeing = []
    for path in paths[::len(paths) // count][:count]:
        frame = cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (1024, 512))
        oracle.setInput(cv2.dnn.blobFromImage(frame, 1 / 255))
        wanted = authors.class_map.label_lut()[oracle.forward()[0].argmax(0)]
        agreeing.append(np.mean(segmenter.segment([frame])[0].labels == wanted))
    with capsys.disabled():
        print(f'\n{len(agreeing)} frames: labels agree with OpenCV {cv2.__version__} on '
              f'{100 * np.mean(agreeing):.4f} % of pixels, worst {100 * min(agreeing):.4f} %')
    assert len(agreeing) == count
    assert np.mean(agreeing) >= 0.999


def test_cityscapes_parameters_are_the_imported_class_map():
    content = yaml.safe_load((REPOSITORY / 'config' / 'cityscapes.yaml').read_text())
    parameters = content['/**']['ros__parameters']
    class_map = default_class_map(20)
    assert parameters['resolution'] == [1024, 512]
    assert parameters['class_map'] == {
        name: {'color': list(color), 'drivable': drivable} for name, color, drivable
        in zip(class_map.names, class_map.colors, class_map.drivable)}
    assert class_map.override(parameters['class_map']) == class_map


def test_cityscapes_parameters_fit_the_authors_model(authors):
    assert authors.class_map == default_class_map(20)
