"""``enet-ros view`` beside a real node, looked at in a real browser."""

import shutil
import subprocess
import time
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from support.absence import import_or_skip
from support.browser import Browser

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
def page(start, street):
    """A viewer of labels that cover the camera, and its URL."""
    start('segment_node', '-p', 'resolution:=[320, 192]')
    start('replay_camera', '-p', f"source:='{street[0]}'", '-p', 'loop:=true', '-p', 'rate:=5.0')
    process = subprocess.Popen(
        [shutil.which('enet-ros'), 'view', '--show', 'camera,labels', '--opacity', '1',
         '--port', '0', '--data-port', '0'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process, url_of(process)[0]
    finally:
        process.terminate()
        process.wait(20)


def picture_of(screenshot, colors):
    """Return the part of a screenshot that consists of class colours, or None."""
    is_class = np.zeros(screenshot.shape[:2], np.uint8)
    for color in colors:
        is_class |= (np.abs(screenshot.astype(int) - color).max(axis=2) <= 8).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(is_class)
    x, y, width, height, area = max(stats[1:], key=lambda row: row[4], default=(0,) * 5)
    if area < 40_000 or abs(width / height - SIZE[0] / SIZE[1]) > 0.05:
        return None
    return screenshot[y:y + height, x:x + width]


@pytest.mark.timeout(400)
def test_the_page_shows_the_road_where_it_is_and_asks_only_this_machine(page, street, tmp_path):
    class_map = read_checkpoint(weights_path('')).class_map
    browser, deadline = Browser(page[1], tmp_path / 'profile', (1280, 720)), time.monotonic() + 200
    try:
        picture = None
        while picture is None:
            assert time.monotonic() < deadline, 'the page shows no labels'
            time.sleep(2)
            picture = picture_of(browser.screenshot(), class_map.colors)
    finally:
        browser.close()
    road = np.abs(picture.astype(int) - class_map.colors[ROAD]).max(axis=2) <= 8
    truth = cv2.resize(street[1].astype(np.uint8), road.shape[::-1],
                       interpolation=cv2.INTER_NEAREST) > 0
    assert (road & truth).sum() / (road | truth).sum() > 0.8
    hosts = {urlsplit(address).hostname for address in browser.requested()
             if address.startswith(('http', 'ws'))}
    assert '127.0.0.1' in hosts
    assert {host for host in hosts - {'127.0.0.1'}
            if not host.endswith(OF_CHROMIUM)} == set()


def test_the_server_listens_on_this_machine_alone_and_ends_with_the_viewer(page):
    process, url = page
    ports = {int(url.split('/')[2].split(':')[1]), int(url.split('%3A')[2].split('%')[0])}
    assert addresses(ports) == {'127.0.0.1'}
    process.kill()
    process.wait(10)
    deadline = time.monotonic() + 10
    while addresses(ports):
        assert time.monotonic() < deadline, 'the server outlived the viewer'
        time.sleep(0.1)


def addresses(ports):
    """Return the addresses at which something listens on some ports, by /proc/net/tcp."""
    found = set()
    for path in ('/proc/net/tcp', '/proc/net/tcp6'):
        for line in open(path).read().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            host, port = address.split(':')
            if state == '0A' and int(port, 16) in ports:  # LISTEN, include/net/tcp_states.h
                found.add('127.0.0.1' if host == '0100007F' else host)
    return found
