"""What the two sides of ``enet-ros compare`` are: by the rules of the node, each by itself."""

import numpy as np
import pytest
from support.black_border import write_mask

from enet_ros.comparison.sides import Options, Side, read_side
from enet_ros.perception.encodings import EncodingError
from enet_ros.perception.segmenter import Segmenter


@pytest.mark.parametrize(('parameters', 'expected'), [
    # A camera may be named as a group of parameters: the group's own come first, as in the node.
    ('cameras: [ground, front], ground.height: 1.2', {'ground.height': 1.2}),
    ('cameras: [front, drivable], drivable.min_area: 0.02', {'drivable.min_area': 0.02}),
    ('cameras: [front, left], front.rotate: 180, left.rotate: 0', {'rotate': 180}),
])
def test_a_parameter_file_is_read_as_the_node_reads_it(tmp_path, parameters, expected):
    (tmp_path / 'robot.yaml').write_text(f'/enet: {{ros__parameters: {{{parameters}}}}}')
    values, _ = read_side(str(tmp_path / 'robot.yaml'), Options())
    assert {name: values[name] for name in expected} == expected


def test_a_parameter_that_the_node_refuses_is_refused(tmp_path):
    (tmp_path / 'robot.yaml').write_text('/enet: {ros__parameters: {cameras: [front, left], '
                                         'front.resolution: [128, 64]}}')
    with pytest.raises(ValueError, match='front.resolution'):
        read_side(str(tmp_path / 'robot.yaml'), Options())


def test_each_side_has_its_own_number_of_threads(road_frame):
    torch = pytest.importorskip('torch')
    before, seen = torch.get_num_threads(), []
    sides = [Segmenter.from_file(resolution=(64, 32), backend='torch', precision='float32',
                                 threads=threads) for threads in (1, 2, 0)]
    for side in sides:
        graph = side.backend._graph(confidence=False)
        graph.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
        side.segment([road_frame])
    assert seen == [1, 2, before] and torch.get_num_threads() == before


def test_a_side_knows_no_label_where_its_valid_mask_hides_the_image(tmp_path, road_frame):
    unseen = np.zeros(road_frame.shape[:2], bool)
    unseen[150:] = True
    (tmp_path / 'robot.yaml').write_text(
        'enet: {ros__parameters: {resolution: [160, 96], precision: float32, valid_mask: '
        f'{write_mask(tmp_path / "bonnet.png", unseen)}}}}}')
    side = Side(str(tmp_path / 'robot.yaml'), Options())
    frame = side.perceive(road_frame, 0.)
    assert (frame.labels[75:] == 255).all() and not frame.mask[75:].any()
    assert not frame.confidence[75:].any() and frame.mask[:75].any()
    with pytest.raises(EncodingError, match='320x192 pixels and frames have 192x192'):
        side.perceive(road_frame[:, :192], 0.)
