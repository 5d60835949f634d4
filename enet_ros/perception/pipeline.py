"""Two threads between the callbacks and the topics: one segments, one publishes.

So receiving (a thread of its own, see ros/receiver.py), inference and publishing overlap, and a
slow network delays no callback. Nothing queues: one slot a camera holds the newest frame, and one
place between the two threads holds what was segmented last. Nothing here imports ROS.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from enet_ros.perception.encodings import Pixels, Scratch
from enet_ros.perception.segmenter import Segmentation, Segmenter


@dataclass
class Frame:
    """A frame on its way through the node; times are of ``time.perf_counter``, in seconds.

    Attributes:
        message: as received.
        received: when.
        age_at_receive_ms: the node's clock minus the stamp.
        policy: what it is treated by, from preprocessing to publishing.
        wanted: names of the outputs that have subscribers.
        pixels: as they came.
        segmentation: at the network's size, in the camera's orientation.
    """

    message: object
    received: float
    age_at_receive_ms: float
    policy: object = None
    wanted: frozenset = frozenset()
    pixels: Pixels | None = None
    segmentation: Segmentation | None = None
    started: float = 0.0
    preprocessed: float = 0.0
    inferred: float = 0.0
    publishing: float = 0.0


class Stream(Protocol):
    """One camera, as the pipeline sees it."""

    def prepare(self, frame: Frame) -> bool:
        """Decode; False if the frame is dropped or nobody wants it."""

    def publish(self, frame: Frame) -> None:
        """Publish what is wanted of a segmented frame."""

    def drop(self, reason: str = '') -> None:
        """Count a frame that goes no further."""


class Slots:
    """A slot a stream; each holds the newest frame. Streams take turns.

    Args:
        count: of streams.
        most: frames that are taken at once.
    """

    def __init__(self, count: int, most: int):
        self._frames: list[Frame | None] = [None] * count
        self._most, self._next = most, 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, index: int, frame: Frame) -> bool:
        """Store a frame. Returns whether it took the place of one that nobody had taken."""
        with self._changed:
            overtook = self._frames[index] is not None
            self._frames[index] = frame
            self._changed.notify()
        return overtook

    def take(self, wait: bool = True) -> list[tuple[int, Frame]] | None:
        """Wait for frames and take them, those of the stream whose turn it is first.

        Args:
            wait: whether to wait where no slot holds a frame.

        Returns:
            (index of the stream, frame) pairs; none without waiting where there are none; None
            when closed.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed or any(self._frames))
            if self._closed or not any(self._frames):
                return None if self._closed else []
            count = len(self._frames)
            order = [(self._next + i) % count for i in range(count)]
            taken = [i for i in order if self._frames[i] is not None][:self._most]
            self._next = (taken[-1] + 1) % count
            frames = [(i, self._frames[i]) for i in taken]
            for i in taken:
                self._frames[i] = None
            return frames

    def clear(self) -> list[int]:
        """Empty every slot. Returns the indices of those that held a frame."""
        with self._changed:
            held = [i for i, frame in enumerate(self._frames) if frame is not None]
            self._frames = [None] * len(self._frames)
            return held

    def close(self) -> None:
        """Let :meth:`take` return for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass
class Pipeline:
    """The threads of one configured network.

    Attributes:
        segmenter: used by the segmenting thread alone.
        streams: in slot order.
    """

    segmenter: Segmenter
    streams: list[Stream]
    _slots: Slots = field(init=False)
    _segmented: queue.Queue = field(init=False)
    _batches: dict[int, np.ndarray] = field(default_factory=dict)
    _scratch: dict[int, Scratch] = field(default_factory=lambda: defaultdict(Scratch))

    def __post_init__(self):
        self._slots = Slots(len(self.streams), self.segmenter.backend.max_batch)
        self._segmented = queue.Queue(maxsize=1)
        for work in (self._segment_frames, self._publish_frames):
            threading.Thread(target=work, name=work.__name__.strip('_'), daemon=True).start()

    def put(self, index: int, frame: Frame) -> None:
        """Hand in the newest frame of a stream; never waits."""
        if self._slots.put(index, frame):
            self.streams[index].drop()

    def clear(self) -> None:
        """Drop what waits; what is being segmented goes on."""
        for index in self._slots.clear():
            self.streams[index].drop()

    def close(self) -> None:
        """Let the threads end after the frames in hand; never waits."""
        self._slots.close()

    def _segment_frames(self) -> None:
        """Segment until closed.

        Where frames wait already, those just segmented are handed on once the next are ready for
        the network: publishing then overlaps with the network, which needs no interpreter, and not
        with getting ready, which does.
        """
        done: list[tuple[Stream, Frame]] = []
        while (taken := self._slots.take(wait=not done)) is not None:
            ready = [(self.streams[i], frame) for i, frame in taken
                     if self._prepare(self.streams[i], frame)]
            ready, batch = self._batch_of(ready)
            self._hand_on(done)
            done = self._segment(ready, batch) if ready else []
        self._hand_on(done)
        self._segmented.put([])

    def _hand_on(self, segmented: list[tuple[Stream, Frame]]) -> None:
        if segmented:
            self._segmented.put(segmented)

    @staticmethod
    def _prepare(stream: Stream, frame: Frame) -> bool:
        try:
            return stream.prepare(frame)
        except Exception as error:  # such as topics that were removed meanwhile
            stream.drop(f'{type(error).__name__}: {error}')
            return False

    def _batch_of(self, ready: list[tuple[Stream, Frame]]
                  ) -> tuple[list[tuple[Stream, Frame]], np.ndarray | None]:
        """Resize frames into a batch, whose memory is that of the last batch of its size.

        Returns:
            What is in the batch, and the batch; nothing where it could not be made.
        """
        try:
            if len(ready) not in self._batches:
                self._batches[len(ready)] = self.segmenter.new_batch(len(ready))
            batch = self._batches[len(ready)]
            for (stream, frame), slot in zip(ready, batch):
                frame.pixels.resized(self.segmenter.resolution, slot, self._scratch[id(stream)])
                if frame.policy.settings.rotate:
                    slot[:] = slot[::-1, ::-1].copy()
                frame.preprocessed = time.perf_counter()
        except Exception as error:  # such as memory that is full; the next frame may do
            for stream, _ in ready:
                stream.drop(f'resizing failed: {type(error).__name__}: {error}')
            return [], None
        return ready, batch

    def _segment(self, ready: list[tuple[Stream, Frame]],
                 batch: np.ndarray) -> list[tuple[Stream, Frame]]:
        """Run the network; return the frames that it segmented."""
        confidence = any(needs_confidence(frame) for _, frame in ready)
        try:
            results = self.segmenter.infer(batch, confidence)
        except Exception as error:  # of a runtime's own kinds; the next frame may do
            for stream, _ in ready:
                stream.drop(f'the network failed: {type(error).__name__}: {error}')
            return []
        for (_, frame), result in zip(ready, results):
            frame.inferred = time.perf_counter()
            frame.segmentation = turned(result) if frame.policy.settings.rotate else result
        return ready

    def _publish_frames(self) -> None:
        while ready := self._segmented.get():
            for stream, frame in ready:
                frame.publishing = time.perf_counter()
                try:
                    stream.publish(frame)
                except Exception as error:  # such as a context that shut down meanwhile
                    stream.drop(f'publishing failed: {type(error).__name__}: {error}')


def needs_confidence(frame: Frame) -> bool:
    """Tell whether a frame's outputs need the winning class's probability."""
    return bool(frame.wanted & {'confidence', 'drivable_area'}
                or frame.policy.settings.confidence_floor > 0.0)


def turned(segmentation: Segmentation) -> Segmentation:
    """Turn a segmentation by 180 degrees."""
    confidence = segmentation.confidence
    return Segmentation(
        np.ascontiguousarray(segmentation.labels[::-1, ::-1]),
        None if confidence is None else np.ascontiguousarray(confidence[::-1, ::-1]))
