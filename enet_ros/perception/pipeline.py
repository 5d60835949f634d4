"""The order of a frame's steps: decode, segment, judge, locate, perceive, publish.

Receiving has a thread of its own (ros/receiver.py). Two threads of this module do the rest: one
decodes and segments, one does the other steps. So a slow network delays no callback, and
publishing overlaps with the network.

Nothing queues. One slot per camera holds its newest frame, and one place between the two threads
holds the frames that were segmented last. Nothing here imports ROS: :class:`CameraPort` is all
that the pipeline knows of it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from enet_ros.common.one_line_error import describe_error, in_one_line
from enet_ros.perception.frame import DropCause, Dropped, FrameInFlight
from enet_ros.perception.perceive import Need, Perceiver
from enet_ros.perception.segmenter import Segmenter
from enet_ros.perception.steps import make_suspect_unknown
from enet_ros.perception.suspicion import FrameJudge, sampled_rows


class CameraPort(Protocol):
    """The steps of a frame that need ROS. Each returns why it drops the frame, or None."""

    def decode(self, frame: FrameInFlight, network_input: np.ndarray) -> Dropped | None:
        """Decode a frame, and write the input of the network, (H, W, 3) uint8 RGB."""

    def locate(self, frame: FrameInFlight) -> Dropped | None:
        """Find the calibration and the ground of a frame, for outputs that need them.

        A frame is dropped if it would be too old once it is published.
        """

    def publish(self, frame: FrameInFlight) -> Dropped | None:
        """Make and send the messages of a perceived frame."""

    def drop(self, dropped: Dropped) -> None:
        """Count a frame that goes no further, and log the reason now and then."""


class FrameSlots:
    """One slot per camera, which holds its newest frame. The cameras take turns.

    Args:
        count: Number of cameras.
        most: Greatest number of frames that are taken at once.
    """

    def __init__(self, count: int, most: int):
        self._frames: list[FrameInFlight | None] = [None] * count
        self._most, self._next = most, 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frame: FrameInFlight) -> bool:
        """Store a frame. Return whether it replaced one that was not taken."""
        with self._changed:
            overtook = self._frames[frame.camera] is not None
            self._frames[frame.camera] = frame
            self._changed.notify()
        return overtook

    def take(self, *, wait: bool = True) -> list[FrameInFlight] | None:
        """Take the frames of the cameras whose turn it is.

        Args:
            wait: Whether to wait for a frame if there is none.

        Returns:
            Frames, none if there are none and ``wait`` is false, or None when closed.
        """
        with self._changed:
            while wait and not self._closed and not any(self._frames):
                self._changed.wait()
            if self._closed:
                return None
            taken, count = [], len(self._frames)
            for i in range(self._next, self._next + count):
                frame = self._frames[i % count]
                if frame is not None and len(taken) < self._most:
                    taken.append(frame)
                    self._frames[i % count] = None
            if taken:  # If all were taken, another one is the first of the next batch.
                self._next = (taken[-1].camera + 1 + (len(taken) == count)) % count
            return taken

    def clear(self) -> list[FrameInFlight]:
        """Empty every slot. Return the frames that were there."""
        with self._changed:
            held = [frame for frame in self._frames if frame is not None]
            self._frames = [None] * len(self._frames)
            return held

    def close(self) -> None:
        """Let :meth:`take` return None for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Pipeline:
    """The two threads that take the frames of all cameras through one network.

    :meth:`clear` and :meth:`close` may be called from any thread.

    Attributes:
        segmenter: The network. Only the segmenting thread uses it.
        network_since_sec: When the network was given the frames that it has in hand, by
            ``time.monotonic``, or None while it has none.
        loss: The error after which the network cannot run again in this process, or ''.
    """

    def __init__(self, segmenter: Segmenter, cameras: Sequence[CameraPort], slots: FrameSlots):
        """Start the threads.

        Args:
            segmenter: The network.
            cameras: Cameras in the order of their slots.
            slots: Slots that the receiving thread fills.
        """
        self.segmenter = segmenter
        self._cameras, self._slots = list(cameras), slots
        self._perceivers = [Perceiver() for _ in cameras]
        self._judges = [FrameJudge(segmenter.least_confidence) for _ in cameras]
        self._sampled_rows = sampled_rows(segmenter.resolution[1])
        self._batches: dict[int, np.ndarray] = {}
        self.network_since_sec: float | None = None
        self.loss = ''
        self._segmented: queue.Queue[list[FrameInFlight]] = queue.Queue(maxsize=1)
        for name, run in (('segment frames', self._run_segmenting),
                          ('publish frames', self._run_publishing)):
            threading.Thread(target=run, name=name, daemon=True).start()

    def clear(self) -> None:
        """Drop the frames that wait. A frame that is being segmented goes on."""
        for frame in self._slots.clear():
            self._cameras[frame.camera].drop(Dropped(DropCause.OVERTAKEN))

    def close(self) -> None:
        """Let the threads end after the frames in hand, without waiting for them."""
        self._slots.close()

    def _run_segmenting(self) -> None:
        """Decode and segment frames until closed.

        If the next frame is already waiting, it is decoded before the finished one is handed over.
        Publishing (Python) then runs while the network does (no Python).
        """
        finished: list[FrameInFlight] = []
        while (taken := self._slots.take(wait=not finished)) is not None:
            decoded, batch = self._decode(taken) if taken else ([], None)
            if finished:
                self._segmented.put(finished)
            finished = self._segment(decoded, batch) if decoded else []
        if finished:
            self._segmented.put(finished)
        self._segmented.put([])

    def _decode(self, frames: list[FrameInFlight]
                ) -> tuple[list[FrameInFlight], np.ndarray | None]:
        """Decode frames into a batch, whose memory is that of the last batch.

        Returns:
            The decoded frames and (N, H, W, 3) uint8 RGB, or ([], None).
        """
        try:
            if len(frames) not in self._batches:
                self._batches[len(frames)] = self.segmenter.new_batch(len(frames))
        except Exception as error:  # Memory may be full. The next frame may succeed.
            self._note_loss(error)
            self._drop_failed(frames, 'no memory for the input of the network: ', error)
            return [], None
        decoded, batch = [], self._batches[len(frames)]
        for frame in frames:
            camera = self._cameras[frame.camera]
            try:
                dropped = camera.decode(frame, batch[len(decoded)])
            except Exception as error:  # The topics may have been removed meanwhile.
                self._drop_failed([frame], 'step decode failed: ', error)
                continue
            if dropped is not None:
                camera.drop(dropped)
            else:
                frame.sample = batch[len(decoded), self._sampled_rows].copy()
                decoded.append(frame)
        return decoded, batch[:len(decoded)]

    def _segment(self, frames: list[FrameInFlight], batch: np.ndarray) -> list[FrameInFlight]:
        """Run the network. Return the frames that it segmented."""
        confidence, upside_down = False, []
        for i, frame in enumerate(frames):
            due_sec = self._judges[frame.camera].confidence_due_sec
            confidence = (confidence or Need.CONFIDENCE in frame.needs
                          or frame.times.started >= due_sec)
            if frame.camera_settings.settings.rotate:
                upside_down.append(i)
        self.network_since_sec, inferring = time.monotonic(), time.perf_counter()
        try:
            results = self.segmenter.infer(batch, confidence=confidence, upside_down=upside_down)
        except Exception as error:  # A runtime has its own exceptions. The next frame may succeed.
            self._note_loss(error)
            self._drop_failed(frames, 'the network failed: ', error)
            return []
        finally:
            self.network_since_sec = None
        for frame, result in zip(frames, results):
            frame.segmentation = result
            frame.times.inferring, frame.times.inferred = inferring, time.perf_counter()
        return frames

    def _run_publishing(self) -> None:
        """Do the steps after the network until the segmenting thread has ended."""
        for frame in chain.from_iterable(iter(self._segmented.get, [])):
            camera, perceiver = self._cameras[frame.camera], self._perceivers[frame.camera]
            frame.times.postprocessing, step = time.perf_counter(), 'judge'
            try:
                frame.suspicion = self._judges[frame.camera].judge(
                    frame.sample, frame.segmentation, frame.image, frame.times.started,
                    frame.camera_settings.settings.frozen_timeout)
                if frame.suspicion is not None:
                    make_suspect_unknown(frame, perceiver)
                step = 'locate'
                dropped = camera.locate(frame) if frame.needs & Need.LOCATION else None
                if dropped is None:
                    step = 'perceive'
                    frame.perception = perceiver.perceive(
                        frame.segmentation, frame.camera_settings, needs=frame.needs,
                        order_sec=frame.order_sec, vote_group=frame.vote_group,
                        ground=frame.ground, unseen=frame.unseen)
                    step = 'publish'
                    dropped = camera.publish(frame)
            except Exception as error:  # The context may have shut down meanwhile.
                dropped = Dropped(DropCause.FAILED, f'step {step} failed: {describe_error(error)}')
            if dropped is not None:
                camera.drop(dropped)

    def _note_loss(self, error: Exception) -> None:
        """Keep an error of the network if no later frame can succeed in this process."""
        if not self.loss and self.segmenter.backend.is_lost():
            self.loss = in_one_line(describe_error(error))

    def _drop_failed(self, frames: list[FrameInFlight], step: str, error: Exception) -> None:
        """Drop frames because of an exception."""
        for frame in frames:
            self._cameras[frame.camera].drop(Dropped(
                DropCause.FAILED, f'{step}{describe_error(error)}'))
