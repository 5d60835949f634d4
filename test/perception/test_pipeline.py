"""The two threads of the pipeline: what they do with the frames of all cameras."""

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from enet_ros.network.class_map import UNKNOWN, ClassMap
from enet_ros.network.classes import CAMVID_NAMES
from enet_ros.perception import pipeline
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.frame import DropCause, Dropped, FrameInFlight
from enet_ros.perception.parameters.settings import NodeSettings, make_settings
from enet_ros.perception.perceive import Need
from enet_ros.perception.pipeline import FrameSlots, Pipeline
from enet_ros.perception.segmenter import Segmentation
from enet_ros.perception.steps import make_suspect_unknown
from enet_ros.perception.suspicion import Fault

CLASS_MAP = ClassMap.from_names(CAMVID_NAMES)
SETTINGS = CameraSettings.of(NodeSettings(), CLASS_MAP)


def settings_of(**values):
    return CameraSettings.of(make_settings(values), CLASS_MAP)


def frame(camera, name):
    """A received frame, whose header is its name."""
    return FrameInFlight(camera, name, None, camera_settings=SETTINGS)


@dataclass
class Camera:
    """A camera that notes what becomes of its frames."""

    log: list
    name: str
    decoded: Dropped | Exception | None = None   # what decode returns or raises
    done: threading.Event = field(default_factory=threading.Event)

    def decode(self, one, network_input):
        network_input[:] = len(self.name)
        if isinstance(self.decoded, Exception):
            raise self.decoded
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


def segmenter_of(infer, most=2, least_confidence=0.0):
    return SimpleNamespace(
        backend=SimpleNamespace(max_batch=most, is_lost=lambda: False), resolution=(8, 8),
        infer=infer, least_confidence=least_confidence,
        new_batch=lambda count: np.zeros((count, 8, 8, 3), np.uint8))


def run(cameras, frames, infer, most=2, **options):
    """Take frames, which come at once, through a pipeline."""
    slots = FrameSlots(len(cameras), most)
    for one in frames:
        slots.put(one)
    line = Pipeline(segmenter_of(infer, most, **options), cameras, slots)
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


def test_a_step_that_fails_while_decoding_drops_that_frame_alone():
    log = []
    run([Camera(log, 'left', ValueError('odd')), Camera(log, 'right')],
        [frame(0, 'a'), frame(1, 'b')], all_road)
    assert log == ['drop left: FAILED step decode failed: ValueError: odd', 'publish right']


def test_frames_that_memory_lacks_for_are_dropped():
    log, slots = [], FrameSlots(1, 1)
    camera, segmenter = Camera(log, 'left'), segmenter_of(all_road, 1)
    batches = [MemoryError('full'), np.zeros((1, 8, 8, 3), np.uint8)]

    def new_batch(count):
        if isinstance(batch := batches.pop(0), Exception):
            raise batch
        return batch

    segmenter.new_batch = new_batch
    line = Pipeline(segmenter, [camera], slots)
    for _ in range(2):
        slots.put(frame(0, 'a'))
        assert camera.done.wait(5.0)
        camera.done.clear()
    line.close()
    said = 'no memory for the input of the network: MemoryError: full'
    assert log == [f'drop left: FAILED {said}', 'publish left']


def test_each_frame_has_the_sampled_rows_of_its_own_image():
    frames = [frame(0, 'a'), frame(1, 'b')]

    def infer(batch, **options):
        batch[:] = 0  # as the next frames will do
        return all_road(batch, **options)

    run([Camera([], 'left'), Camera([], 'right')], frames, infer)
    assert [np.unique(one.sample).tolist() for one in frames] == [[len('left')], [len('right')]]


DUE, NOT_DUE = 0.0, -1.0  # when decoding began: a judge wants the confidence from 0 on


@pytest.mark.parametrize(('needs', 'started', 'confidence'), [
    ((Need.MASK, Need.MASK), NOT_DUE, False), ((Need.MASK, Need.MASK), DUE, True),
    ((Need.CONFIDENCE, Need.MASK), NOT_DUE, True), ((Need.MASK, Need.CONFIDENCE), NOT_DUE, True)])
def test_a_batch_has_its_confidence_if_one_of_its_frames_needs_it(needs, started, confidence):
    frames, asked = [frame(0, 'a'), frame(1, 'b')], []
    for one, need in zip(frames, needs):
        one.needs, one.times.started = need, started

    def infer(batch, **options):
        asked.append(options['confidence'])
        return [Segmentation(np.full((8, 8), 3, np.uint8), np.ones((8, 8), np.float32))
                for _ in batch]

    run([Camera([], 'left'), Camera([], 'right')], frames, infer)
    assert asked == [confidence]


@pytest.mark.parametrize(('left', 'upside_down'), [
    (None, [1]), (Dropped(DropCause.FAILED, 'a depth image'), [0])])
def test_the_network_knows_by_its_place_in_the_batch_which_image_is_upside_down(left, upside_down):
    frames, asked = [frame(0, 'a'), frame(1, 'b')], []
    frames[1].camera_settings = settings_of(rotate=180)

    def infer(batch, **options):
        asked.append(options['upside_down'])
        return all_road(batch, **options)

    run([Camera([], 'left', left), Camera([], 'right')], frames, infer)
    assert asked == [upside_down]


@pytest.mark.parametrize('fails', [False, True])
def test_since_when_the_network_has_frames_is_known_while_it_has_some(fails):
    slots, camera, since_sec = FrameSlots(1, 1), Camera([], 'left'), []

    def infer(batch, **options):
        since_sec.append(line.network_since_sec)
        if fails:
            raise RuntimeError('out of memory')
        return all_road(batch, **options)

    line = Pipeline(segmenter_of(infer, 1), [camera], slots)
    before_sec = time.monotonic()
    slots.put(frame(0, 'a'))
    assert camera.done.wait(5.0)
    assert before_sec <= since_sec[0] <= time.monotonic()
    until = time.monotonic() + 5.0
    while line.network_since_sec is not None and time.monotonic() < until:
        time.sleep(0.001)
    assert line.network_since_sec is None
    line.close()


def test_a_failing_network_drops_every_frame_of_the_batch():
    log = []

    def infer(batch, **options):
        raise RuntimeError('out of memory')

    run([Camera(log, 'left'), Camera(log, 'right')], [frame(0, 'a'), frame(1, 'b')], infer)
    said = 'FAILED the network failed: RuntimeError: out of memory'
    assert log == [f'drop left: {said}', f'drop right: {said}']


@pytest.mark.parametrize('failing', ['new_batch', 'infer'])
def test_a_network_that_cannot_run_again_is_known_and_one_that_can_is_not(failing):
    def fail(*arguments, **options):
        raise RuntimeError('CUDA error: unknown\nmore lines')
    slots, camera, segmenter = FrameSlots(1, 1), Camera([], 'left'), segmenter_of(all_road, 1)
    setattr(segmenter, failing, fail)
    line = Pipeline(segmenter, [camera], slots)
    for is_lost, loss in ((False, ''), (True, 'RuntimeError: CUDA error: unknown more lines')):
        segmenter.backend.is_lost = lambda is_lost=is_lost: is_lost
        slots.put(frame(0, 'a'))
        assert camera.done.wait(5.0) and line.loss == loss
        camera.done.clear()
    line.close()


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


@pytest.mark.parametrize(('suspect_frames', 'label'), [('warn', 3), ('unknown', UNKNOWN)])
def test_a_suspect_frame_is_unknown_if_its_settings_say_so(suspect_frames, label):
    one = frame(0, 'a')  # All of its pixels are the length of the name, so it is black.
    one.camera_settings = settings_of(suspect_frames=suspect_frames)
    run([Camera([], 'left')], [one], all_road)
    assert one.suspicion.fault is Fault.BLACK
    assert (one.segmentation.labels == label).all()


@pytest.mark.parametrize(('suspect_frames', 'forgets'), [('warn', 0), ('unknown', 1)])
def test_frames_before_a_suspect_one_vote_no_more_if_it_is_unknown(suspect_frames, forgets):
    one, forgotten = frame(0, 'a'), []
    one.camera_settings = settings_of(suspect_frames=suspect_frames)
    one.segmentation = Segmentation(np.full((8, 8), 3, np.uint8))
    make_suspect_unknown(one, SimpleNamespace(forget=lambda: forgotten.append(one)))
    assert len(forgotten) == forgets


def test_each_camera_has_a_judge_and_votes_of_its_own_which_get_what_its_frame_has(monkeypatch):
    made, judged, perceived = [], [], []

    class Judge:
        confidence_due_sec = 0.0

        def __init__(self, least_confidence):
            made.append(least_confidence)

        def judge(self, sample, segmentation, image, now_sec, frozen_timeout_sec):
            judged.append((self, now_sec, frozen_timeout_sec))

    class Votes:
        def perceive(self, segmentation, camera_settings, **options):
            perceived.append((self, options['order_sec'], options['vote_group'],
                              options['ground'], options['needs']))

    monkeypatch.setattr(pipeline, 'FrameJudge', Judge)
    monkeypatch.setattr(pipeline, 'Perceiver', Votes)
    frames = [frame(0, 'a'), frame(1, 'b')]
    for i, one in enumerate(frames):
        one.camera_settings = settings_of(frozen_timeout=7.0 + i)
        one.times.started, one.order_sec, one.needs = 20.0 + i, 30.0 + i, Need.MASK
        one.vote_group, one.ground = f'group {i}', f'ground {i}'
    run([Camera([], 'left'), Camera([], 'right')], frames, all_road, least_confidence=0.75)
    assert made == [0.75, 0.75]
    assert [entry[1:] for entry in judged] == [(20.0, 7.0), (21.0, 8.0)]
    assert [entry[1:] for entry in perceived] == [
        (30.0, 'group 0', 'ground 0', Need.MASK), (31.0, 'group 1', 'ground 1', Need.MASK)]
    assert judged[0][0] is not judged[1][0] and perceived[0][0] is not perceived[1][0]


def test_a_frame_in_hand_is_published_after_closing_and_the_threads_end():
    inside, go_on = threading.Event(), threading.Event()

    def infer(batch, **options):
        inside.set()
        go_on.wait(5.0)
        return all_road(batch, **options)

    slots, camera, others = FrameSlots(1, 1), Camera([], 'left'), set(threading.enumerate())
    line = Pipeline(segmenter_of(infer, 1), [camera], slots)
    threads = set(threading.enumerate()) - others
    slots.put(frame(0, 'a'))
    assert inside.wait(5.0)
    line.close()
    go_on.set()
    assert camera.done.wait(5.0)
    for thread in threads:
        thread.join(5.0)
    assert [thread.is_alive() for thread in threads] == [False, False]


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
