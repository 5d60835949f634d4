"""Where on the timelines the page draws what comes."""

import time

import numpy as np
import pytest
from support.absence import import_or_skip
from support.browser import Browser

rr = import_or_skip('rerun', 'rerun-sdk is not installed: scripts/setup.sh view')

from enet_ros.network.class_map import ClassMap  # noqa: E402
from enet_ros.view.drawing import CameraDrawing  # noqa: E402
from enet_ros.view.layout import layout  # noqa: E402
from enet_ros.view.server import ViewServer, checked_address  # noqa: E402

CLASSES = ClassMap.from_names(['Sky', 'Road'])
SECOND_NS = 10**9


class Times:
    """A recording that notes the times which are set."""

    def __init__(self):
        self.of = {}

    def set_time(self, timeline, *, timestamp):
        self.of.setdefault(timeline, []).append(timestamp)

    def log(self, *_, **__):
        pass


def test_arrival_advances_where_stamps_fall_back_and_the_stamp_stays_to_be_seen():
    times = Times()
    drawing = CameraDrawing(times, '', CLASSES, 0.5)
    for sec in (7, 8, 1):
        drawing.at(sec * SECOND_NS)
    assert times.of['stamp'] == [np.datetime64(sec, 's') for sec in (7, 8, 1)]
    arrivals = times.of['arrival']
    assert arrivals == sorted(arrivals)
    assert abs(arrivals[-1] - np.datetime64(time.time_ns(), 'ns')) < np.timedelta64(1, 's')


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_page_goes_on_when_stamps_fall_back(tmp_path):
    """As with ros2 bag play --loop, and a simulator that is reset."""
    server = ViewServer(checked_address('127.0.0.1', 0, '20MB'))
    recording = rr.RecordingStream('enet_ros')
    recording.connect_grpc(server.data_url, default_blueprint=layout([''], ['camera'], CLASSES))
    drawing = CameraDrawing(recording, '', CLASSES, 0.5)
    browser = None
    try:
        draw(recording, drawing, 100, (200, 30, 30))
        browser = Browser(server.address.page_url(), tmp_path / 'profile', (800, 500))
        wait_for(browser, (200, 30, 30))
        draw(recording, drawing, 50, (30, 30, 200))
        wait_for(browser, (30, 30, 200))
    finally:
        if browser:
            browser.close()
        recording.disconnect()
        server.stop()


def draw(recording, drawing, stamp_sec, color):
    """Draw a frame of one color."""
    drawing.at(stamp_sec * SECOND_NS)
    drawing.camera(np.full((90, 160, 3), color, np.uint8))
    recording.flush()


def wait_for(browser, color):
    """Wait until a large part of a page has a color."""
    deadline = time.monotonic() + 100
    while (np.abs(browser.screenshot().astype(int) - color).max(axis=2) < 8).mean() < 0.2:
        assert time.monotonic() < deadline, f'the color {color} is not shown'
        time.sleep(1)
