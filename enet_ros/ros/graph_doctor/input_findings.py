"""Findings about what comes to a node: images, stamps, calibration, TF and the clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

from enet_ros.perception.encodings import CompressedFile, read_source
from enet_ros.perception.geometry.camera_info import check_calibration
from enet_ros.perception.stamps import ns_of_stamp
from enet_ros.ros.cdr import read_image_message
from enet_ros.ros.graph_doctor.findings import Finding, Kind
from enet_ros.ros.graph_doctor.observation import (
    COMPRESSED,
    IMAGE,
    INFO,
    Observation,
    Topic,
    gets_latched,
    node_of,
)
from enet_ros.ros.guarded import reason_of

LEAST_RATE_HZ = 5.0
LEAST_SHARE = 0.5      # of the frames, which a node should finish
MOST_TOPICS = 5        # that a finding names
MAX_AGE_SEC, MAX_AHEAD_SEC = 1.0, 0.1


@dataclass(frozen=True)
class Sample:
    """What is needed of an image: size, frame, stamp and age in nanoseconds (None: no clock)."""

    size: tuple[int, int]
    frame_id: str
    stamp_ns: int
    age_ns: int | None


def input_findings(observation: Observation) -> Iterator[Finding]:
    """Yield the findings about everything that comes to the node."""
    yield from _clock_findings(observation)
    samples: list[Sample] = []
    for topic in observation.of_type(IMAGE, COMPRESSED):
        yield from _publisher_findings(topic, observation.image_topics.get(topic.type_name, []))
        read, problem = _read_samples(topic)
        if problem:
            yield Finding(Kind.IMAGE, f'{topic.name}: {problem}')
        if read:
            yield from _sample_findings(topic, read, observation)
        samples += read
    yield from _calibration_findings(observation, samples)
    yield from _transform_findings(observation, samples)
    yield from _rate_findings(observation)


def _clock_findings(observation: Observation) -> Iterator[Finding]:
    simulated = observation.parameters.get('use_sim_time')
    if simulated and not observation.has_clock:
        yield Finding(Kind.NO_CLOCK, f'use_sim_time of {observation.node} is true, and no time '
                                     f'came on /clock, which has {observation.clock_publishers} '
                                     'publishers')
    if simulated is False and observation.clock_publishers:
        yield Finding(Kind.WALL_TIME, f'use_sim_time of {observation.node} is false, and /clock '
                                      f'has {observation.clock_publishers} publishers')


def _publisher_findings(topic: Topic, image_topics: list[str]) -> Iterator[Finding]:
    names = [node_of(end) for end in topic.publishers]
    if not names:
        others = ', '.join(image_topics[:MOST_TOPICS])
        yield Finding(Kind.NO_PUBLISHER, f'{topic.name} has no publisher, and '
                      + (f'such images are on {others}' if others else 'no topic has such images'))
    elif len(names) > 1:
        yield Finding(Kind.TWO_PUBLISHERS, f'{topic.name} has {len(names)} publishers: '
                                           + ', '.join(sorted(names)))
    if names and not topic.arrivals_sec:
        yield Finding(Kind.NO_FRAMES, f'{topic.name} is published by {", ".join(names)}, and no '
                                      'message came')
    if 0 < topic.rate_hz() < LEAST_RATE_HZ:
        yield Finding(Kind.SLOW, f'{topic.name} comes at {topic.rate_hz():.1f} Hz')


def _read_samples(topic: Topic) -> tuple[list[Sample], str]:
    """Return what could be read of the kept images, and why one could not be read, or ''."""
    samples, problem = [], ''
    for now_ns, message in topic.messages:
        try:
            if topic.type_name == IMAGE:
                header, source = read_image_message(message)
            else:
                compressed = deserialize_message(message, CompressedImage)
                header = compressed.header
                source = CompressedFile(compressed.data, compressed.format)
            height, width = read_source(source).rgb().shape[:2]
            stamp = ns_of_stamp(header.stamp)
        except Exception as error:  # An image that nobody foresaw must not end the look.
            problem = reason_of(error)
            continue
        samples.append(Sample((width, height), header.frame_id, stamp,
                              now_ns - stamp if now_ns >= 0 else None))
    return samples, problem


def _sample_findings(topic: Topic, samples: list[Sample],
                     observation: Observation) -> Iterator[Finding]:
    sizes = sorted({sample.size for sample in samples})
    if len(sizes) > 1:
        yield Finding(Kind.SIZE_CHANGES, f'{topic.name} has images of '
                      + ', '.join(f'{width}x{height}' for width, height in sizes))
    stamps = {sample.stamp_ns for sample in samples}
    if stamps == {0}:
        yield Finding(Kind.STAMP_ZERO, f'{topic.name}: all stamps are 0')
        return
    if len(stamps) == 1 and len(samples) > 2:
        yield Finding(Kind.STAMP_STILL, f'{topic.name}: {len(samples)} images have one stamp')
    ages = sorted(sample.age_ns / 1e9 for sample in samples if sample.age_ns is not None)
    if not ages:
        return
    age_sec, limit_sec = ages[len(ages) // 2], observation.parameters.get('max_frame_age') or 0.0
    text = f'{topic.name}: stamps lie {abs(age_sec):.3g} s in the '
    text += 'past' if age_sec > 0 else 'future'
    if limit_sec and abs(age_sec) > limit_sec:
        yield Finding(Kind.STAMP_DROPPED, f'{text}; max_frame_age is {limit_sec:g} s')
    elif age_sec > MAX_AGE_SEC:
        yield Finding(Kind.STAMP_PAST, text)
    elif age_sec < -MAX_AHEAD_SEC:
        yield Finding(Kind.STAMP_FUTURE, text)


def _calibration_findings(observation: Observation, samples: list[Sample]) -> Iterator[Finding]:
    topics = observation.of_type(INFO)
    needed = observation.parameters.get('ground.pose', 'off') != 'off'
    for topic in topics:
        if not topic.messages:
            if needed:
                yield _silent_calibration(topic, observation.node)
            continue
        if len(topics) > 1 or not samples:  # Several cameras: which image belongs is not known.
            continue
        try:
            info = deserialize_message(topic.messages[-1][1], CameraInfo)
            calibration = check_calibration(
                info, samples[-1].size, rectified=bool(observation.parameters.get('rectified')))
        except Exception as error:  # As with the images.
            yield Finding(Kind.CAMERA_INFO, f'{topic.name} cannot be read: {reason_of(error)}')
            continue
        if calibration.problem:
            yield Finding(Kind.CAMERA_INFO, f'{topic.name}: {calibration.problem}')
        if info.header.frame_id != samples[-1].frame_id or not info.header.frame_id:
            yield Finding(Kind.FRAME_ID, f"frame_id is '{samples[-1].frame_id}' in the images and "
                                         f"'{info.header.frame_id}' in {topic.name}")


def _silent_calibration(topic: Topic, node: str) -> Finding:
    text = f'{topic.name}: no message came from {len(topic.publishers)} publishers'
    if gets_latched(topic, node) or not any(
            end.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL
            for end in topic.publishers):
        return Finding(Kind.NO_CAMERA_INFO, text)
    override = f'qos_overrides.{topic.name}.subscription'
    return Finding(Kind.LATCHED_CAMERA_INFO, f'{text}, which keep their last one for those that '
                                             f'set {override}.durability to transient_local and '
                                             f'{override}.reliability to reliable')


def _transform_findings(observation: Observation, samples: list[Sample]) -> Iterator[Finding]:
    if observation.frames is None:  # The node itself warns that it has no TF.
        return
    base, odometry = (str(observation.parameters.get(name) or '').lstrip('/')
                      for name in ('base_frame', 'odom_frame'))
    pose = observation.parameters.get('ground.pose', 'off')
    ways = {(base, sample.frame_id.lstrip('/')) for sample in samples} if pose == 'tf' else set()
    ways |= {(odometry, base)} if odometry and pose != 'off' else set()
    for start, end in sorted(ways):
        if end not in _reached(start, observation.frames):
            names = sorted({name for pair in observation.frames for name in pair})
            yield Finding(Kind.NO_TF, f"TF does not connect '{start}' and '{end}'; frames that "
                                      f'came on {" and ".join(observation.tf_topics)}: '
                                      f'{", ".join(names) or "none"}')


def _reached(start: str, frames: set[tuple[str, str]]) -> set[str]:
    """Return the frames that TF connects with one."""
    reached, grows = {start}, True
    while grows:
        more = {name for pair in frames if reached & set(pair) for name in pair}
        grows = not more <= reached
        reached |= more
    return reached


def _rate_findings(observation: Observation) -> Iterator[Finding]:
    """Compare the rate of the node with that of its images, where it has one camera."""
    rates = [rate for status in observation.statuses.values() for value in status.values
             if value.key == 'rate_hz' and (rate := _number(value.value)) is not None]
    images = [topic.rate_hz() for topic in observation.of_type(IMAGE, COMPRESSED)
              if topic.rate_hz()]
    if len(rates) == len(images) == 1 and 0 < rates[0] < LEAST_SHARE * images[0]:
        yield Finding(Kind.SLOW_NODE, f'{observation.node} finishes {rates[0]:.1f} of '
                                      f'{images[0]:.1f} frames a second')


def _number(text: str) -> float | None:
    """Return a finite number, or None where a text is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
