"""Synthetic roads of every kind: surfaces, verges, tunnels, shadows, crowds and night."""

from dataclasses import replace

import numpy as np
import pytest

from enet_ros.scene.road import LOOP_M
from enet_ros.scene.road_scene import RoadScene
from enet_ros.scene.style import EMPTY, Style, varied_style
from enet_ros.scene.surfaces import road_half_m
from enet_ros.scene.textures import GROUND_LOOP_M

SKY, BUILDING, ROAD, PAVEMENT, TREE, PEDESTRIAN = 0, 1, 3, 4, 5, 9
SMALL = (160, 90)
COUNTRY = replace(EMPTY, kerb=False, ragged_m=.5, surface='dirt', pavement_m=1.)


def render(style, t_seconds=3.0, seed=0, size=SMALL):
    return RoadScene(*size, seed, style).render(t_seconds)


@pytest.mark.parametrize('seed', range(12))
def test_any_varied_road_has_road_before_the_vehicle_and_camvids_ids(seed):
    scene = RoadScene.random(seed, *SMALL, varied=True)
    frame, labels = scene.render(seed * 7.)
    assert labels.max() <= 10
    assert (labels == ROAD).mean() > .1
    assert frame.std() > 4
    assert np.array_equal(frame, RoadScene.random(seed, *SMALL, varied=True).render(seed * 7.)[0])


def test_the_world_is_as_varied_as_it_says():
    styles = [varied_style(np.random.default_rng(seed)) for seed in range(400)]
    def share(test):
        return np.mean([test(style) for style in styles])
    assert share(lambda s: not s.kerb) == pytest.approx(.5, abs=.08)
    assert {s.surface for s in styles} == {'asphalt', 'gravel', 'dirt'}
    assert share(lambda s: s.light == 'night') == pytest.approx(.2, abs=.06)
    for feature in ('tunnel_m', 'bridges', 'shadows', 'crossing', 'jaywalkers', 'wet'):
        assert .02 < share(lambda s: getattr(s, feature) > 0) < .8, feature  # noqa: B023
    heights = [s.camera_height_m for s in styles]
    assert min(heights) < .35 and max(heights) > 1.95


@pytest.mark.parametrize('surface', ['asphalt', 'gravel', 'dirt'])
def test_a_road_without_a_kerb_ends_in_grass(surface):
    _, labels = render(replace(COUNTRY, surface=surface))
    assert set(np.unique(labels)) <= {SKY, BUILDING, ROAD, TREE}
    below = labels[labels.shape[0] * 2 // 3:]
    assert set(np.unique(below)) == {ROAD, TREE}


def test_ragged_edges_repeat_with_the_texture_and_stay_within_their_bounds():
    x = np.linspace(0, GROUND_LOOP_M, 2000)
    for side in (-1, 1):
        half = road_half_m(COUNTRY, x, side)
        assert np.abs(half - COUNTRY.road_half_m).max() <= 1.2 * COUNTRY.ragged_m
        assert half.std() > .1 * COUNTRY.ragged_m
        assert road_half_m(COUNTRY, x + GROUND_LOOP_M, side) == pytest.approx(half)
    assert not np.allclose(road_half_m(COUNTRY, x, 1), road_half_m(COUNTRY, x, -1))
    assert LOOP_M % GROUND_LOOP_M == 0


def test_labels_are_the_ground_truth_of_ragged_edges():
    scene = RoadScene(320, 180, 2, COUNTRY)
    _, labels = scene.render(5.)
    rows, columns = np.mgrid[110:180, 0:320]
    x, y = scene.camera.to_ground(columns, rows)
    truth = scene.ground_truth(x, y, 5.)
    assert np.mean(labels[110:] == truth) > .999
    assert {ROAD, TREE} <= set(np.unique(truth))


def test_the_color_changes_where_the_label_of_a_ragged_edge_does():
    """On black earth beside a white road, the painted edge and the labeled one are one."""
    style = replace(COUNTRY, surface='gravel', road_color=(200, 200, 200), noise=0.,
                    grass_color=(25, 25, 25))
    frame, labels = render(style, size=(320, 180))
    ground = frame[120:].mean(2)
    road = labels[120:] == ROAD
    assert np.median(ground[road]) > 2 * np.median(ground[~road])


def test_a_tunnel_is_dark_and_hides_the_sky():
    style = replace(Style(), tunnel_m=LOOP_M - 60., speed_mps=8.)
    inside = [render(style, t) for t in (20., 30.)]
    outside = render(Style(), 20.)
    for frame, labels in inside:
        assert frame.mean() < .5 * outside[0].mean()
        assert (labels == BUILDING).mean() > .3
        assert (labels == SKY).mean() < .05
        assert (labels == ROAD).mean() > .1


def test_a_bridge_hides_sky_and_shades_the_road():
    scene = replace(EMPTY, bridges=6)
    plain = np.array([(render(EMPTY, t)[1] == SKY).mean() for t in range(0, 60, 6)])
    bridged = np.array([(render(scene, t)[1] == SKY).mean() for t in range(0, 60, 6)])
    assert (bridged <= plain).all() and (bridged < .8 * plain).any()


def test_hard_shadows_change_colors_and_no_label():
    frame, labels = render(EMPTY)
    shaded, same = render(replace(EMPTY, shadows=20.))
    assert np.array_equal(labels, same)
    road = labels == ROAD
    assert shaded[road].mean() < .9 * frame[road].mean()


def test_people_walk_on_the_road():
    scene = RoadScene(320, 180, 0, replace(EMPTY, jaywalkers=8.))
    seen = [(scene.render(float(t))[1] == PEDESTRIAN).sum() for t in range(0, 60, 5)]
    assert max(seen) > 20


def test_zebra_stripes_are_road():
    bright = []
    for crossing in (False, True):
        scene = RoadScene(320, 180, 0, replace(EMPTY, crossing=crossing, noise=0.))
        frames = [scene.render(t / 2) for t in range(12)]
        bright.append(max((frame[labels == ROAD].mean(1) > 150).mean()
                          for frame, labels in frames))
        assert all((labels == ROAD).mean() > .2 for _, labels in frames)
    assert bright[1] > bright[0] + .02


def test_night_is_dark_but_for_headlights_and_lamps():
    day, labels = render(Style(), size=(320, 180))
    night, same = render(Style(light='night'), size=(320, 180))
    sky = labels == SKY
    assert (same == SKY)[sky].mean() > .95
    assert night[sky].mean() < .3 * day[sky].mean()
    near = night[150:, 120:200].mean()
    assert near > 2 * night[labels == TREE].mean()
    assert (night.min(2) > 170).any()  # a lamp
