"""A grid that is moved into a fixed frame; test_planner_outputs.py has the rest."""

import numpy as np
import pytest

from enet_ros.perception.grid import GridSpec, rotated_grid


@pytest.mark.parametrize('yaw', [0.0, 0.3, np.pi / 2, -2.0])
def test_a_grid_in_the_odometry_frame_keeps_every_cells_place(yaw):
    spec = GridSpec((6.0, 4.0), 0.1, (0.0, -2.0))
    cells = np.full((40, 60), -1, np.int8)
    cells[20:, 30:] = 100
    cells[:20, 30:] = 0
    turned, origin = rotated_grid(cells, spec, (3.21, -1.7), yaw)
    assert np.allclose(np.array(origin) / 0.1, np.round(np.array(origin) / 0.1))
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    for place, value in (((4.5, 1.0), 100), ((4.5, -1.0), 0), ((1.5, 1.0), -1)):
        x, y = (turn @ place + (3.21, -1.7) - origin) / 0.1
        assert turned[int(y), int(x)] == value
    assert (turned == 100).sum() == pytest.approx(600, abs=80)
    assert turned[0, 0] == -1 or yaw in (0.0, np.pi / 2)


@pytest.mark.parametrize('yaw', np.linspace(0.0, 3.0, 13))
def test_a_thin_obstacle_survives_the_turn(yaw):
    spec = GridSpec((6.0, 4.0), 0.1, (0.0, -2.0))
    cells = np.zeros((40, 60), np.int8)
    cells[17, 23] = 100
    assert (rotated_grid(cells, spec, (0.03, 0.07), yaw)[0] == 100).any()


@pytest.mark.parametrize('value', [-1, 100])
@pytest.mark.parametrize('place', [(20, 20), (0, 0), (39, 0), (0, 39), (39, 39)])
def test_no_single_cell_that_is_not_free_is_lost(value, place):
    spec, rng = GridSpec((4.0, 4.0), 0.1, (0.0, -2.0)), np.random.default_rng(0)
    cells = np.zeros((40, 40), np.int8)
    cells[place] = value
    row, column = place
    for _ in range(200):
        position, yaw = rng.uniform(-5.0, 5.0, 2), rng.uniform(-np.pi, np.pi)
        rotated, origin = rotated_grid(cells, spec, position, yaw)
        assert (rotated == 100).any() == (value == 100)
        # The cell covers ground up to one cell farther along each axis.
        center = np.array([column + 1.0, row - 19.0]) * 0.1
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        x, y = ((turn @ center + position - origin) / 0.1).astype(int)
        assert rotated[y, x] == value
