"""docs/own_site.md from start to end: every command of the page, and the node on its weights.

The site is a synthetic street in negative, as some thermal cameras show it: the shipped weights
see little of it. Steps, sizes and threads are smaller than those of the page.
"""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support import recordings
from support.labeling_tools import (
    CLASSES,
    SIZE,
    street,
    write_cvat,
    write_cvat_masks,
    write_label_studio,
    write_labelme,
)

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pytorch_lightning', reason='scripts/setup.sh train is needed')

from enet_ros.media import VideoWriter, read_image  # noqa: E402
from enet_ros.perception.segmenter import Segmenter  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(500)]
PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'own_site.md'

#: What the page says -> what the test runs.
SMALLER = {
    # One thread: two that share a core with another test wait for each other.
    '--resolution 640x360 --steps 2000': '--resolution 160x96 --crop 160x96 --steps 80 '
                                         '--threads 1',
    'site/val --out': 'site/val --resolution 160x96 --json figures.json --out',
    'drive.mp4 --out': 'drive.mp4 --resolution 160x96 --out',
}
EXPORTS = {'CVAT': write_cvat, 'CVAT masks': write_cvat_masks,
           'Label Studio': write_label_studio, 'labelme': write_labelme}


def commands_of(page):
    """Return the commands of the page in their order, but for the set-up and the environment."""
    blocks = re.findall(r'```sh\n(.*?)```', page.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if not line.startswith(('scripts/', '. scripts/'))]


@pytest.fixture(scope='module')
def drawn():
    return {name: (255 - frame, labels) for name, (frame, labels) in street(
        20, drives=5).items()}


@pytest.fixture(scope='module')
def site(tmp_path_factory, drawn):
    """Return the folder in which the commands of the page were run, and what they printed."""
    folder = tmp_path_factory.mktemp('own')
    write_cvat(folder, drawn)
    writer = VideoWriter(folder / 'drive.mp4', 10.0)
    for frame, _ in drawn.values():
        writer.write(frame)
    writer.close()
    printed = {}
    for command in commands_of(PAGE):
        if command.startswith('segment_node'):
            continue  # below
        for text, smaller in SMALLER.items():
            command = command.replace(text, smaller)
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True,
                              timeout=400)
        assert done.returncode == 0, f'{command}\n{done.stdout}\n{done.stderr}'
        printed[' '.join(command.split()[:2])] = done.stdout
    return folder, printed


def test_the_page_has_the_commands_that_are_run(site):
    _, printed = site
    assert list(printed) == ['enet-ros label-import', 'enet-ros train', 'enet-ros compare']
    assert commands_of(PAGE)[-1] == ('segment_node --ros-args -p '
                                     'weights:=runs/site/model.safetensors')


def test_frames_are_taken_from_videos_and_recordings(tmp_path):
    pytest.importorskip('rosbags', reason='scripts/setup.sh bag is needed')
    frames = recordings.frames(7)
    recordings.write(tmp_path / 'drive2', recordings.street(messages=frames))
    writer = VideoWriter(tmp_path / 'drive1.mp4', 10.0)
    for frame in frames:
        writer.write(frame)
    writer.close()
    [code] = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert '>= 3.0 * taken' in code
    subprocess.run(['python3', '-c', code.replace('3.0 *', '0.3 *')], cwd=tmp_path, check=True,
                   timeout=100)
    taken = sorted((tmp_path / 'frames').iterdir())
    assert [path.name for path in taken] == [f'{drive}_{i:04}.png'
                                             for drive in ('00_drive1', '01_drive2')
                                             for i in (0, 1, 2)]
    for path, frame in zip(taken[3:], frames[::3]):
        assert np.array_equal(read_image(path), frame)


def test_the_comparison_shows_the_gain(site):
    folder, printed = site
    found = json.loads((folder / 'figures.json').read_text())
    before, after = (found[side]['drivable_iou_with_labels'] for side in 'ab')
    assert after > before + 0.1
    assert found['labelled_frames'] == 4 and not found['same_classes']
    assert 'B calls site road drivable' in printed['enet-ros compare']
    assert (folder / 'before_after.html').exists() and (folder / 'drive.html').exists()


def test_the_node_answers_with_the_new_classes(site, drawn, bench, pixels):
    folder, _ = site
    weights = str(folder / 'runs/site/model.safetensors')
    segmenter = Segmenter.from_file(weights, resolution=SIZE, precision='float32')
    assert segmenter.checkpoint.class_map.names == tuple(CLASSES)
    node = bench(weights=weights, resolution=list(SIZE))
    node.listen('labels', 'drivable_mask')
    overlap = np.zeros(2)
    for frame, truth in list(drawn.values())[::6]:
        labels, mask = (pixels(message) for message in node.reply(
            node.image(frame), 'labels', 'drivable_mask'))
        assert np.array_equal(labels, segmenter.segment([frame])[0].labels)
        assert labels.max() < len(CLASSES)
        assert np.array_equal(mask > 0, labels == 0)
        known = truth != 255
        overlap += ((mask > 0) & (truth == 0) & known).sum(), (
            ((mask > 0) | (truth == 0)) & known).sum()
    assert overlap[0] / overlap[1] > 0.4


@pytest.mark.parametrize('tool', EXPORTS)
def test_every_tool_gives_the_same_data_set(tmp_path, site, drawn, tool):
    folder, _ = site
    (tmp_path / 'export').mkdir()
    export = EXPORTS[tool](tmp_path / 'export', drawn)
    classes = folder / 'site/classes.yaml'
    subprocess.run(['enet-ros', 'label-import', export, '--out', tmp_path / 'site', '--classes',
                    classes], check=True, capture_output=True, timeout=100)
    names = [{path.relative_to(root) for path in root.rglob('*.png')}
             for root in (folder / 'site', tmp_path / 'site')]
    assert len(names[0]) == 40 and names[0] == names[1]
