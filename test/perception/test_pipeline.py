"""The slots between callbacks and network: newest frames, cameras in turns."""

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enet_ros.network.class_map import ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.frame import DropCause, Dropped, FrameInFlight
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.perception.perceive import Need
from enet_ros.perception.pipeline import FrameSlots, Pipeline
from enet_ros.perception.segmenter import Segmentation

SETTINGS = CameraSettings.of(NodeSettings(), ClassMap.from_names(CAMVID_NAMES))


def frame(camera, name):
    """A received frame, whose header is its name."""
    return FrameInFlight(camera, name, None, camera_settings=SETTINGS)


def names(taken):
    return [(one.camera, one.header) for one in taken]


def test_a_newer_frame_takes_the_place_of_one_that_waits():
    slots = FrameSlots(1, 1)
    assert not slots.put(frame(0, 'old'))
    assert slots.put(frame(0, 'new'))
    assert names(slots.take()) == [(0, 'new')]


def test_cameras_take_turns_when_one_frame_is_taken_at_once():
    slots = FrameSlots(3, 1)
    order = []
    for _ in range(6):
        for index in range(3):  # all of them send faster than frames are taken
            slots.put(frame(index, 'x'))
        order += [one.camera for one in slots.take()]
    assert order == [0, 1, 2, 0, 1, 2]


def test_cameras_of_one_batch_take_turns_at_being_the_first_to_be_published():
    slots, first = FrameSlots(3, 3), []
    for _ in range(4):
        for index in range(3):
            slots.put(frame(index, 'x'))
        first.append(slots.take()[0].camera)
    assert first == [0, 1, 2, 0]


@given(st.integers(1, 5), st.integers(1, 6), st.lists(st.integers(0, 4), max_size=40))
def test_no_frame_is_lost_or_taken_twice_and_no_stream_starves(count, most, puts):
    slots, waiting, overtaken, served = FrameSlots(count, most), {}, 0, []
    for step, index in enumerate(puts):
        index %= count
        assert slots.put(frame(index, step)) == (index in waiting)
        overtaken += index in waiting
        waiting[index] = step
        if step % 3 == 2:
            taken = names(slots.take())
            assert len(taken) == min(most, len(waiting))
            assert all(waiting.pop(i) == step_of for i, step_of in taken)
            served += taken
    assert len(served) + overtaken + len(slots.clear()) == len(puts)


def test_closed_slots_give_nothing():
    slots = FrameSlots(2, 1)
    found = []
    thread = threading.Thread(target=lambda: found.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(5.0)
    assert found == [None]
    assert slots.take(wait=False) is None


def test_empty_slots_give_nothing_when_nobody_waits():
    assert FrameSlots(2, 1).take(wait=False) == []


@dataclass
class Camera:
    """A camera that notes what becomes of its frames."""

    log: list
    name: str
    decoded: Dropped | None = None   # what decode returns
    done: threading.Event = field(default_factory=threading.Event)

    def decode(self, one, network_input):
        network_input[:] = len(self.name)
        return self.decoded

    def locate(self, one):
        self.log.append(f'locate {self.name}')
        return None

    def publish(self, one):
        self.log.append(f'publish {self.name}')
        self.done.set()
        return None

    def drop(self, dropped):
        self.log.append(f'drop {self.name}: {dropped.cause.name} {dropped.reason}')
        self.done.set()


def segmenter_of(infer, most=2):
    return SimpleNamespace(
        backend=SimpleNamespace(max_batch=most), resolution=(8, 8), infer=infer,
        least_confidence=0.0,
        new_batch=lambda count: np.zeros((count, 8, 8, 3), np.uint8))


def run(cameras, frames, infer, most=2):
    """Take frames, which come at once, through a pipeline."""
    slots = FrameSlots(len(cameras), most)
    for one in frames:
        slots.put(one)
    line = Pipeline(segmenter_of(infer, most), cameras, slots)
    for one in frames:
        assert cameras[one.camera].done.wait(5.0)
    line.close()


def all_road(batch, *, confidence, upside_down):
    return [Segmentation(np.full((8, 8), 3, np.uint8)) for _ in batch]


@pytest.mark.parametrize(('most', 'calls'), [(1, [1, 1]), (2, [2])])
def test_frames_of_two_cameras_go_in_batches_of_what_the_backend_gains_by(most, calls):
    log, sizes = [], []

    def infer(batch, **options):
        sizes.append(len(batch))
        return all_road(batch, **options)

    run([Camera(log, 'left'), Camera(log, 'right')], [frame(0, 'a'), frame(1, 'b')], infer, most)
    assert sizes == calls
    assert log == ['publish left', 'publish right']


def test_a_frame_that_is_dropped_while_decoding_leaves_no_gap_in_the_batch():
    log, batches = [], []

    def infer(batch, **options):
        batches.append(batch[:, 0, 0, 0].tolist())
        return all_road(batch, **options)

    refused = Dropped(DropCause.FAILED, 'a depth image')
    run([Camera(log, 'left', refused), Camera(log, 'right')], [frame(0, 'a'), frame(1, 'b')],
        infer)
    assert batches == [[len('right')]]
    assert log == ['drop left: FAILED a depth image', 'publish right']


def test_a_failing_network_drops_every_frame_of_the_batch():
    log = []

    def infer(batch, **options):
        raise RuntimeError('out of memory')

    run([Camera(log, 'left'), Camera(log, 'right')], [frame(0, 'a'), frame(1, 'b')], infer)
    said = 'FAILED the network failed: RuntimeError: out of memory'
    assert log == [f'drop left: {said}', f'drop right: {said}']


def test_a_step_after_the_network_that_fails_is_named():
    class Lost(Camera):
        def locate(self, one):
            raise ValueError('a pose of zeros')

    log, one = [], frame(0, 'a')
    one.needs = Need.GROUND
    run([Lost(log, 'left')], [one], all_road)
    assert log == ['drop left: FAILED step locate failed: ValueError: a pose of zeros']


def test_a_frame_that_is_too_late_for_the_ground_is_not_perceived():
    class Late(Camera):
        def locate(self, one):
            return Dropped(DropCause.FAILED, 'too old')

    log, one = [], frame(0, 'a')
    one.needs = Need.GROUND
    run([Late(log, 'left')], [one], all_road)
    assert log == ['drop left: FAILED too old'] and one.perception is None


def test_the_ground_is_found_only_where_an_output_needs_it():
    log, perceptions = [], []
    cameras = [Camera(log, 'left'), Camera(log, 'right')]
    frames = [frame(0, 'a'), frame(1, 'b')]
    frames[1].needs = Need.GROUND | Need.MASK
    run(cameras, frames, all_road)
    assert log == ['publish left', 'locate right', 'publish right']
    perceptions = [one.perception for one in frames]
    assert perceptions[0].mask is None
    assert perceptions[1].mask.all()


def test_frames_that_wait_are_dropped_when_cleared():
    log, inside, go_on = [], threading.Event(), threading.Event()

    def infer(batch, **options):
        inside.set()
        go_on.wait(5.0)
        return all_road(batch, **options)

    slots, camera = FrameSlots(1, 1), Camera(log, 'left')
    line = Pipeline(segmenter_of(infer, 1), [camera], slots)
    slots.put(frame(0, 'a'))
    assert inside.wait(5.0)
    slots.put(frame(0, 'b'))
    line.clear()
    assert log == ['drop left: OVERTAKEN ']
    camera.done.clear()
    go_on.set()
    assert camera.done.wait(5.0)
    line.close()
    assert log[-1] == 'publish left'


def test_the_time_of_the_network_has_no_waiting_for_the_publishing_thread():
    """The last frame is decoded, and then waits until the one before it is handed over."""
    log, decoded, publishing = [], threading.Semaphore(0), threading.Event()
    inside, go_on = threading.Semaphore(0), threading.Semaphore(0)

    class Slow(Camera):
        def decode(self, one, network_input):
            decoded.release()
            return None

        def publish(self, one):
            assert publishing.wait(5.0)
            return super().publish(one)

    def infer(batch, **options):
        inside.release()
        assert go_on.acquire(timeout=5.0)
        return all_road(batch, **options)

    slots = FrameSlots(1, 1)
    line = Pipeline(segmenter_of(infer, 1), [Slow(log, 'left')], slots)
    frames = [frame(0, i) for i in range(4)]  # published, handed over, finished, decoded
    for i, one in enumerate(frames):
        if i:
            assert inside.acquire(timeout=5.0)  # so the frame is there when the last one is done
        slots.put(one)
        if i:
            go_on.release()
        assert decoded.acquire(timeout=5.0)
    time.sleep(0.3)
    go_on.release()
    publishing.set()
    assert inside.acquire(timeout=5.0)
    line.close()
    until = time.monotonic() + 5.0
    while not frames[-1].times.inferred and time.monotonic() < until:
        time.sleep(0.001)
    assert frames[-1].times.inferring > frames[-2].times.inferred + 0.2
    assert 0.0 < frames[-1].times.inferred - frames[-1].times.inferring < 0.2
