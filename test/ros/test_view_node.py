"""``enet-ros view`` beside a real node, looked at in a real browser."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from support.absence import import_or_skip
from support.browser import Browser
from support.sockets import anyone_listens, listening, tree

import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from enet_ros.network.checkpoint import read_checkpoint, weights_path  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402
from enet_ros.scene.textures import ROAD  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]
SIZE = (640, 360)
#: Whom Chromium itself asks, whatever the page: the time, its updates, its dictionaries.
OF_CHROMIUM = ('.google.com', '.gvt1.com', 'update.googleapis.com',
               'content-autofill.googleapis.com', 'optimizationguide-pa.googleapis.com')


def url_of(process, seconds=120.0):
    deadline, lines = time.monotonic() + seconds, []
    for line in process.stdout:
        lines.append(line)
        if line.startswith('view: open '):
            return line.split()[2], lines
        assert time.monotonic() < deadline, ''.join(lines)
    pytest.fail(''.join(lines))


@pytest.fixture
def street(tmp_path):
    """A still picture of the street as a file, and its true road."""
    rgb, labels = RoadScene(*SIZE).render(1.0)[:2]
    cv2.imwrite(str(tmp_path / 'street.png'), rgb[..., ::-1])
    return tmp_path / 'street.png', labels == ROAD


@pytest.fixture
def view():
    """Start ``enet-ros view``; give the process and the URL. It is ended at the end."""
    started = []

    def start_view(*options):
        started.append(subprocess.Popen(
            [shutil.which('enet-ros'), 'view', '--port', '0', *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1], url_of(started[-1])[0]

    yield start_view
    for process in started:
        process.terminate()
        process.wait(20)


@pytest.fixture
def page(start, street, view):
    """A viewer of labels that cover the camera, and its URL."""
    start('segment_node', '-p', 'resolution:=[320, 192]')
    start('replay_camera', '-p', f"source:='{street[0]}'", '-p', 'loop:=true', '-p', 'rate:=5.0')
    return view('--show', 'camera,labels', '--opacity', '1')


def pictures_of(screenshot, colors):
    """Return the parts of a screenshot that consist of class colors, from left to right."""
    is_class = np.zeros(screenshot.shape[:2], np.uint8)
    for color in colors:
        is_class |= (np.abs(screenshot.astype(int) - color).max(axis=2) <= 8).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(is_class)
    return [screenshot[y:y + height, x:x + width]
            for x, y, width, height, area in sorted(stats[1:], key=lambda row: row[0])
            if area > 40_000 and abs(width / height - SIZE[0] / SIZE[1]) < 0.05]


def watch(url, folder, count):
    """Return the pictures on a page once there are so many, and the closed browser."""
    colors = read_checkpoint(weights_path('')).class_map.colors
    browser, deadline = Browser(url, folder / 'profile', (1280, 720)), time.monotonic() + 200
    try:
        while len(pictures := pictures_of(browser.screenshot(), colors)) < count:
            assert time.monotonic() < deadline, f'{len(pictures)} of {count} cameras are shown'
            time.sleep(2)
    finally:
        browser.close()
    return pictures, browser


def road_iou(picture, truth):
    """Return the IoU of what has the color of the road, and the road."""
    color = read_checkpoint(weights_path('')).class_map.colors[ROAD]
    road = np.abs(picture.astype(int) - color).max(axis=2) <= 8
    truth = cv2.resize(truth.astype(np.uint8), road.shape[::-1],
                       interpolation=cv2.INTER_NEAREST) > 0
    return (road & truth).sum() / (road | truth).sum()


@pytest.mark.timeout(400)
def test_the_page_shows_the_road_where_it_is_and_asks_only_this_machine(page, street, tmp_path):
    [picture], browser = watch(page[1], tmp_path, 1)
    assert road_iou(picture, street[1]) > 0.8
    hosts = {urlsplit(address).hostname for address in browser.requested()
             if address.startswith(('http', 'ws'))}
    assert '127.0.0.1' in hosts
    assert {host for host in hosts - {'127.0.0.1'}
            if not host.endswith(OF_CHROMIUM)} == set()


@pytest.mark.timeout(400)
def test_two_remapped_cameras_are_shown_by_another_address_than_the_printed_one(
        start, street, view, tmp_path):
    start('segment_node', '-p', 'resolution:=[320, 192]', '-p', "cameras:=['left', 'right']",
          '-r', 'left/image:=/cam_left/raw', '-r', 'right/image:=/cam_right/raw')
    mirrored = tmp_path / 'mirrored.png'
    cv2.imwrite(str(mirrored), cv2.imread(str(street[0]))[:, ::-1])
    for name, file in (('left', street[0]), ('right', mirrored)):
        start('replay_camera', '-r', f'__ns:=/{name}', '-r', f'image:=/cam_{name}/raw', '-p',
              f"source:='{file}'", '-p', 'loop:=true', '-p', 'rate:=5.0')
    url = view('--show', 'camera,labels', '--opacity', '1', '--bind', '0.0.0.0')[1]
    by_ip = url.replace(socket.gethostname(), '127.0.0.3')  # another name than the printed one
    (left, right), _ = watch(by_ip, tmp_path, 2)
    assert road_iou(left, street[1]) > 0.8
    assert road_iou(right, street[1][:, ::-1]) > 0.8


@pytest.mark.timeout(300)
def test_memory_stays_bounded_under_many_frames(start, view):
    start('segment_node', '-p', 'resolution:=[160, 96]')
    start('replay_camera', '-p', 'preload:=8', '-p', 'rate:=30.0')
    process, _ = view('--show', 'camera,labels', '--rate', '30', '--memory', '32MB')
    time.sleep(8)  # more than 150 MB of frames, were all of them kept
    before = {pid: rss_mb(pid) for pid in tree(process.pid)}
    time.sleep(15)
    growth_mb = {pid: rss_mb(pid) - before[pid] for pid in before}
    assert len(growth_mb) == 2 and max(growth_mb.values()) < 60, growth_mb
    assert max(before.values()) < 500, before


@pytest.mark.parametrize('bind', ['127.0.0.1', '127.0.0.2', '0.0.0.0'])
def test_one_port_listens_where_bind_says_and_no_other_is_reached(start, view, bind):
    start('segment_node', '-p', 'resolution:=[160, 96]')
    process, url = view('--bind', bind)
    places = listening(tree(process.pid))
    assert (bind, urlsplit(url).port) in places
    hidden = {host for host, _ in places - {(bind, urlsplit(url).port)}}
    assert len(places) == 3 and len(hidden) == 1 and hidden.pop().startswith('127.')


def test_the_server_ends_with_the_viewer(page):
    process, _ = page
    places = listening(tree(process.pid))
    process.kill()
    process.wait(10)
    deadline = time.monotonic() + 10
    while anyone_listens(places):
        assert time.monotonic() < deadline, 'the server outlived the viewer'
        time.sleep(0.1)


def rss_mb(pid):
    """Return the resident memory of a process."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * 4096 / 1e6
