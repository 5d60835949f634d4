"""One camera of a recording: its frames to messages, by the code of the node.

The steps are those of perception/pipeline.py and ros/camera.py, one after the other. There is no
clock: the time of recording takes its place, so that every run gives the same messages.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import (
    BitDepth,
    CompressedFile,
    EncodedImage,
    EncodingError,
    Scratch,
)
from enet_ros.perception.frame import FrameInFlight, FrameTimes
from enet_ros.perception.ground_locator import GroundLocator
from enet_ros.perception.output_error import OutputError
from enet_ros.perception.outputs import find_requested
from enet_ros.perception.perceive import Need, Perceiver
from enet_ros.perception.segmenter import Segmenter
from enet_ros.perception.stamps import FrameClock, StampError, to_ns
from enet_ros.perception.steps import decode_frame, make_suspect_unknown
from enet_ros.perception.suspicion import FrameJudge, sampled_rows
from enet_ros.recordings.cameras import CameraTopic
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.outputs import OUTPUTS, Output, OutputContext
from enet_ros.recordings.state import set_fields
from enet_ros.recordings.survey import RecordedCalibrations
from enet_ros.recordings.transforms import RecordedTransforms


class CountedWarnings:
    """Counts what is missing or wrong, with the first reason of each effect."""

    def __init__(self):
        self._counts: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}

    def warn(self, effect: str, reason: str) -> None:
        """Count an effect."""
        self._counts[effect] += 1
        self._reasons.setdefault(effect, reason)

    def count(self, effect: str) -> int:
        """Return how often an effect was counted."""
        return self._counts[effect]

    def lines(self) -> list[str]:
        """Return a sentence for each effect."""
        return [f'{effect} ({count} times): {self._reasons[effect]}'
                for effect, count in sorted(self._counts.items())]

    def state(self) -> dict[str, object]:
        """Return what :meth:`restore` takes."""
        return {'counts': dict(self._counts), 'reasons': self._reasons}

    def restore(self, state: dict[str, dict]) -> None:
        """Go on from a state."""
        self._counts, self._reasons = Counter(state['counts']), state['reasons']


UNREADABLE = 'frames that could not be read'


class RecordedCamera:
    """Segments the frames of one camera of a recording, in their order.

    Args:
        camera: Name and topic.
        camera_settings: Settings of the camera.
        segmenter: The network.
        outputs: Names of the outputs.
        transforms: Transforms of the recording.
        calibrations: Calibrations of the camera.

    Attributes:
        name: Name of the camera.
        warnings: What was missing or wrong.
        frames: Number of frames that were segmented.
    """

    def __init__(self, camera: CameraTopic, camera_settings: CameraSettings,
                 segmenter: Segmenter, outputs: Sequence[str], transforms: RecordedTransforms,
                 calibrations: RecordedCalibrations):
        self.name, self.frames, self.warnings = camera.name, 0, CountedWarnings()
        self._topic, self._is_compressed = camera.topic, camera.is_compressed
        self._camera_settings, self._segmenter = camera_settings, segmenter
        settings = camera_settings.settings
        self._calibrations = calibrations
        # Equal poses only, so that a frame's outputs do not depend on where a part begins.
        self._locator = GroundLocator(transforms, calibrations, self.warnings,
                                      segmenter.resolution, operator.eq)
        self._context = OutputContext(transforms)
        self._clock, self._time_epoch = FrameClock(), 0
        self._judge, self._perceiver = FrameJudge(segmenter.least_confidence), Perceiver()
        self._perceiver.drivable_filter.settings = settings.drivable
        self._scratch, self._bit_depth = Scratch(), BitDepth(settings.bit_depth)
        self._batch = segmenter.new_batch(1)
        self._sampled_rows = sampled_rows(segmenter.resolution[1])
        self._requested, self._needs = find_requested(
            [OUTPUTS[name] for name in outputs if name in OUTPUTS], settings)

    def segment(self, data: bytes, log_ns: int) -> Iterator[tuple[Output, object]]:
        """Segment a frame, and yield its outputs with their messages.

        Args:
            data: Serialized message.
            log_ns: When it was recorded.
        """
        try:
            frame = self._decode(data, log_ns)
        except EncodingError as error:
            self.warnings.warn(UNREADABLE, str(error))
            return
        self._infer(frame)
        frame.requested_outputs = self._requested
        if frame.needs & Need.LOCATION:
            self._calibrations.now_ns = self._context.transforms.now_ns = log_ns
            self._locator.locate(frame)
        frame.perception = self._perceiver.perceive(
            frame.segmentation, frame.camera_settings, needs=frame.needs, ground=frame.ground,
            order_sec=frame.order_sec, vote_group=frame.vote_group, unseen=frame.unseen)
        self.frames += 1
        for output in (OUTPUTS[name] for name in self._requested):
            if output.needs not in frame.needs:
                continue
            try:
                yield output, output.make(frame, self._context)
            except OutputError as error:
                self.warnings.warn(f'no ~/{output.name}', str(error))

    def _decode(self, data: bytes, log_ns: int) -> FrameInFlight:
        """Return a decoded frame, whose network input is in the batch.

        Raises:
            EncodingError: The frame cannot be read.
        """
        try:
            message = typestore().deserialize_cdr(data, self._topic.type)
        except Exception as error:  # rosbags has no narrower class
            raise EncodingError(f'a message of {len(data)} bytes is no {self._topic.type}: '
                                f'{error or type(error).__name__}') from error
        header, stamp = message.header, message.header.stamp
        try:
            stamp_ns = to_ns(stamp.sec, stamp.nanosec)
        except StampError as error:
            raise EncodingError(str(error)) from error
        source = (CompressedFile(message.data, message.format) if self._is_compressed else
                  EncodedImage(message.data, message.encoding, message.width, message.height,
                               message.step, is_bigendian=bool(message.is_bigendian)))
        frame = FrameInFlight(0, header, source, stamp_ns, self._place(stamp_ns, log_ns / 1e9),
                              time_epoch=self._time_epoch, times=FrameTimes(started=log_ns / 1e9),
                              camera_settings=self._camera_settings, needs=self._needs)
        decode_frame(frame, self._batch[0], self._scratch, self._bit_depth)
        for remark in frame.image.remarks:
            if remark.is_warning:
                self.warnings.warn(f'images with an unusual {remark.fact}', remark.value)
        frame.sample = self._batch[0, self._sampled_rows].copy()
        return frame

    def _place(self, stamp_ns: int, log_sec: float) -> float:
        """Return the time by which a frame votes, as the node does."""
        if stamp_ns > self._clock.newest_ns:
            self._clock.newest_ns = stamp_ns
            return stamp_ns / 1e9
        place = self._clock.place_late(stamp_ns, log_sec)
        self._time_epoch += place.jump_ns > 0
        return place.order_sec

    def _infer(self, frame: FrameInFlight) -> None:
        """Run the network, and judge whether the frame can be trusted."""
        settings, now_sec = self._camera_settings.settings, frame.times.started
        confidence = Need.CONFIDENCE in frame.needs or now_sec >= self._judge.confidence_due_sec
        frame.segmentation, = self._segmenter.infer(
            self._batch, confidence=confidence, upside_down=[0] if settings.rotate else [])
        frame.suspicion = self._judge.judge(frame.sample, frame.segmentation, frame.image,
                                            now_sec, settings.frozen_timeout)
        if frame.suspicion is None:
            return
        self.warnings.warn(f'suspect frames, {frame.suspicion.fault.value}',
                           frame.suspicion.reason)
        make_suspect_unknown(frame, self._perceiver)

    def state(self) -> dict[str, object]:
        """Return what is remembered between two frames, for :meth:`restore`."""
        return {'frames': self.frames,
                'epochs': [self._time_epoch, self._perceiver.vote_group],
                'complaints': self.warnings.state(),
                **{name: dict(vars(remembers)) for name, remembers in self._memories().items()}}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from a state.

        Raises:
            StateError: It is of another version.
        """
        self.frames = state['frames']
        self._time_epoch, self._perceiver.vote_group = state['epochs']
        self.warnings.restore(state['complaints'])
        for name, remembers in self._memories().items():
            set_fields(remembers, state[name])

    def _memories(self) -> dict[str, object]:
        """Return the objects that remember frames.

        Their attributes are plain data. A state has their names, and only a run of the same
        version goes on with it, so they may be renamed.
        """
        return {'clock': self._clock, 'judge': self._judge, 'bit_depth': self._bit_depth,
                'votes': self._perceiver.drivable_filter.majority}
