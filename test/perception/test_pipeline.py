"""The slots between callbacks and network: newest frames, cameras in turns."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enet_ros.perception import pipeline
from enet_ros.perception.encodings import Pixels
from enet_ros.perception.segmenter import Segmentation


def frame(name):
    return pipeline.Frame(name, 0.0, 0.0, SimpleNamespace(
        settings=SimpleNamespace(rotate=0, confidence_floor=0.0)))


def names(taken):
    return [(index, one.message) for index, one in taken]


def test_a_newer_frame_takes_the_place_of_one_that_waits():
    slots = pipeline.Slots(1, 1)
    assert not slots.put(0, frame('old'))
    assert slots.put(0, frame('new'))
    assert names(slots.take()) == [(0, 'new')]


def test_cameras_take_turns_when_one_frame_is_taken_at_once():
    slots = pipeline.Slots(3, 1)
    order = []
    for _ in range(6):
        for index in range(3):  # all of them send faster than frames are taken
            slots.put(index, frame('x'))
        order += [index for index, _ in slots.take()]
    assert order == [0, 1, 2, 0, 1, 2]


@given(st.integers(1, 5), st.integers(1, 6), st.lists(st.integers(0, 4), max_size=40))
def test_no_frame_is_lost_or_taken_twice_and_no_stream_starves(count, most, puts):
    slots, waiting, overtaken, served = pipeline.Slots(count, most), {}, 0, []
    for step, index in enumerate(puts):
        index %= count
        assert slots.put(index, frame(step)) == (index in waiting)
        overtaken += index in waiting
        waiting[index] = step
        if step % 3 == 2:
            taken = names(slots.take())
            assert len(taken) == min(most, len(waiting))
            assert all(waiting.pop(i) == step_of for i, step_of in taken)
            served += taken
    assert len(served) + overtaken + len(slots.clear()) == len(puts)


def test_closed_slots_give_nothing():
    slots = pipeline.Slots(2, 1)
    found = []
    thread = threading.Thread(target=lambda: found.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(5.0)
    assert found == [None]
    assert slots.take(wait=False) is None


def test_empty_slots_give_nothing_when_nobody_waits():
    assert pipeline.Slots(2, 1).take(wait=False) == []


@dataclass
class Camera:
    """A stream that notes when its frames are published."""

    log: list
    name: str
    done: threading.Event = field(default_factory=threading.Event)

    def prepare(self, one):
        one.pixels = Pixels(np.zeros((8, 8, 3), np.uint8))
        return True

    def publish(self, one):
        self.log.append(f'publish {self.name}')
        self.done.set()

    def drop(self, reason=''):
        raise AssertionError(reason)


@pytest.mark.parametrize(('most', 'calls'), [(1, [1, 1]), (2, [2])])
def test_frames_of_two_cameras_go_in_batches_of_what_the_backend_gains_by(most, calls):
    log, sizes, gate = [], [], threading.Event()

    def infer(batch, confidence):
        gate.wait(5.0)
        sizes.append(len(batch))
        return [Segmentation(np.zeros((8, 8), np.uint8)) for _ in batch]

    segmenter = SimpleNamespace(
        backend=SimpleNamespace(max_batch=most), resolution=(8, 8), infer=infer,
        new_batch=lambda count: np.zeros((count, 8, 8, 3), np.uint8))
    cameras = [Camera(log, 'left'), Camera(log, 'right')]
    line = pipeline.Pipeline(segmenter, cameras)
    with line._slots._changed:  # both come at once
        line._slots._frames = [frame('a'), frame('b')]
        line._slots._changed.notify()
    gate.set()
    assert all(camera.done.wait(5.0) for camera in cameras)
    line.close()
    assert sizes == calls
    assert log == ['publish left', 'publish right']
