"""One recording to one with labels: its messages as they are, and the outputs of the node."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from enet_ros.common.suggestions import suggest
from enet_ros.machine import package_version
from enet_ros.network.checkpoint import weights_path
from enet_ros.perception.camera_settings import CameraSettings, settings_of_cameras
from enet_ros.perception.parameters.names import checked_values, shared_parameter
from enet_ros.perception.parameters.settings import BY_NAME, make_settings
from enet_ros.perception.parameters.table import ConfigError
from enet_ros.perception.perceive import Need
from enet_ros.perception.segmenter import Segmenter
from enet_ros.recordings.camera import UNREADABLE, RecordedCamera
from enet_ros.recordings.cameras import CameraTopic, find_cameras
from enet_ros.recordings.definitions import typestore
from enet_ros.recordings.files import sizes_of
from enet_ros.recordings.outputs import (
    DEFAULT_OUTPUTS,
    LABEL_INFO,
    LABEL_INFO_TYPE,
    OUTPUTS,
    make_label_info,
)
from enet_ros.recordings.reader import Recording, RecordingError, Topic
from enet_ros.recordings.survey import Survey, survey_cameras
from enet_ros.recordings.writer import RecordingWriter, own_topic, refuse_existing

PART_BYTES = 256 << 20


@dataclass(frozen=True)
class BagOptions:
    """What is asked of a recording. It is data, so that it can be sent to another machine.

    Attributes:
        topics: 'TOPIC' or 'NAME=TOPIC' of each camera, or none for all cameras.
        outputs: Names of the outputs.
        values: Parameters of the node by name.
        node: Name of the node, without a slash before it.
        part_bytes: Bytes after which a part ends, before compression.
    """

    topics: tuple[str, ...] = ()
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    values: Mapping[str, object] = field(default_factory=dict)
    node: str = 'enet'
    part_bytes: int = PART_BYTES

    def __post_init__(self):
        """Check the outputs, and leave out those that are named again.

        Raises:
            ConfigError: One is not known, or there is none.
        """
        unknown = [name for name in self.outputs if name not in OUTPUTS]
        if unknown:
            raise ConfigError(f"the output '{unknown[0]}' is not known, wanted some of "
                              f'{", ".join(OUTPUTS)}{suggest(unknown[0], OUTPUTS)}')
        if not self.outputs:
            raise ConfigError('no output is given')
        object.__setattr__(self, 'outputs', tuple(dict.fromkeys(self.outputs)))


@dataclass
class BagReport:
    """What became of a recording.

    Attributes:
        frames: Number of frames that were segmented.
        unreadable: Number of frames that could not be read.
        lines: Sentences about what is missing or was doubtful.
        parts: Number of parts.
        resumed_parts: Number of those that a run before had made.
        provenance: Weights, backend, precision and what else decides the labels.
    """

    frames: int
    unreadable: int
    lines: list[str]
    parts: int
    resumed_parts: int
    provenance: dict[str, str]


def open_segmenter(values: Mapping[str, object]) -> Segmenter:
    """Open the network that the parameters of a node ask for."""
    settings = make_settings({name: value for name, value in values.items() if name in BY_NAME})
    return Segmenter.from_file(
        settings.weights, resolution=settings.resolution, backend=settings.backend,
        precision=settings.precision, threads=settings.threads)


def weights_sha256(values: Mapping[str, object]) -> str:
    """Return the SHA-256 of the weights that the parameters of a node ask for.

    Raises:
        CheckpointError: There is no such file.
    """
    path = weights_path(str(values.get('weights', '')))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def segment_recording(path: Path, out: Path, options: BagOptions, segmenter: Segmenter,
                      progress: Callable[[int, int], object] = lambda done, total: None
                      ) -> BagReport:
    """Segment the cameras of a recording, and write one with labels.

    Args:
        path: The recording.
        out: Folder of the result. It must not exist.
        options: What is asked.
        segmenter: The network.
        progress: Is told the numbers of frames that are done, and of all.

    Raises:
        RecordingError: The recording cannot be read.
        UnfinishedError: An unfinished result of other options is in the way.
        FileExistsError: The result exists already.
        OSError: The disk is full, or fails otherwise.
    """
    refuse_existing(out)
    with Recording(path) as recording:
        run = _Run(recording, options, segmenter)
        try:
            with closing(RecordingWriter(out, [*recording.topics, *run.topics],
                                         run.plan())) as writer:
                return run.write(writer, progress)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise OSError(f"no space is left on the disk for '{out}'; free some, and the same "
                          'command goes on from the last whole part') from error


class _Run:
    """One recording on its way through the network."""

    def __init__(self, recording: Recording, options: BagOptions, segmenter: Segmenter):
        self._recording, self._options, self._segmenter = recording, options, segmenter
        cameras, remarks = find_cameras(recording, options.topics, node=options.node)
        self._remarks = recording.remarks + remarks
        survey = survey_cameras(recording, cameras)
        values, unused = _without_absent_cameras(options.values, cameras)
        self._remarks += unused
        self._values = _values_for(values, cameras, survey)
        camera_settings = settings_of_cameras(
            checked_values(self._values, [camera.name for camera in cameras]),
            segmenter.checkpoint.class_map)
        if 'ground.pose' not in options.values:
            self._remarks += _missing_ground(options.outputs, cameras, camera_settings, survey)
        if _in_meters(options.outputs) and any(
                each.settings.ground.pose == 'tf' or each.settings.odom_frame
                for each in camera_settings.values()):
            self._remarks += survey.remarks
        self._valid_masks = [each.valid_mask.sha256 for each in camera_settings.values()
                             if each.valid_mask is not None]
        self._cameras = {camera.topic: RecordedCamera(
            camera, camera_settings[camera.name], segmenter, options.outputs,
            survey.transforms[camera.name], survey.calibrations[camera.name])
            for camera in cameras}
        self._topic_of = {(camera.name, name): own_topic(
            f'/{options.node}/{camera.prefix}{name}', OUTPUTS[name].type)
            for camera in cameras for name in options.outputs}
        self._infos = [own_topic(f'/{options.node}/{camera.prefix}{LABEL_INFO}', LABEL_INFO_TYPE,
                                 is_latched=True) for camera in cameras]
        taken = {topic.name for topic in recording.topics}
        for topic in self.topics:
            if topic.name in taken:
                raise RecordingError(f"'{recording.path}' has the topic {topic.name} already; "
                                     'give another name of the node by --node, and the cameras '
                                     'by --topic')

    @property
    def topics(self) -> list[Topic]:
        """Topics of the outputs."""
        return [*self._infos, *self._topic_of.values()]

    def plan(self) -> dict[str, object]:
        """Return what decides the content of the result."""
        path = self._recording.path
        return {
            'version': package_version('enet_ros'), 'recording': str(path.resolve()),
            'files': sizes_of(path),
            'cameras': [[camera.name, topic.name] for topic, camera in self._cameras.items()],
            'outputs': list(self._options.outputs), 'node': self._options.node,
            'part bytes': self._options.part_bytes, **self._provenance(),
            'valid masks': self._valid_masks,
            'parameters': {name: list(value) if isinstance(value, tuple) else value
                           for name, value in sorted(self._values.items())
                           if name not in ('weights', 'threads')}}

    def _provenance(self) -> dict[str, str]:
        """Return what the labels are made by."""
        backend, values = self._segmenter.backend, self._values
        return {'weights': weights_path(str(values.get('weights', ''))).stem,
                'weights_sha256': weights_sha256(values), 'backend': backend.name,
                'precision': backend.precision,
                'resolution': 'x'.join(map(str, self._segmenter.resolution))}

    def write(self, writer: RecordingWriter, progress: Callable[[int, int], object]) -> BagReport:
        """Write the result from the end of its last whole part, and finish it."""
        if writer.lock.remark:
            self._remarks.append(writer.lock.remark)
        first, resumed_parts = self._restore(writer), len(writer.parts)
        taken = first  # number of messages
        total = sum(self._recording.count(topic) for topic in self._cameras)
        done = sum(map(_done, self._cameras.values()))
        progress(done, total)
        for number, (topic, log_ns, data) in enumerate(self._recording.messages()):
            if number < first:
                continue
            if number == 0:
                self._write_label_info(writer, log_ns)
            writer.write(topic, log_ns, data)
            if topic in self._cameras:
                self._segment(writer, topic, log_ns, data)
                done += 1
                progress(done, total)
            taken = number + 1
            if writer.part_bytes >= self._options.part_bytes:
                writer.end_part(self._state(taken))
        writer.end_part(self._state(taken))
        report = self._report(len(writer.parts), resumed_parts)
        writer.finish({**self._provenance(), 'frames': str(report.frames),
                       'unreadable': str(report.unreadable)},
                      self._recording.custom_data, self._recording.ros_distro)
        return report

    def _segment(self, writer: RecordingWriter, topic: Topic, log_ns: int, data: bytes) -> None:
        camera = self._cameras[topic]
        for output, message in camera.segment(data, log_ns):
            serialized = typestore().serialize_cdr(message, output.type)
            writer.write(self._topic_of[camera.name, output.name], log_ns, serialized)

    def _write_label_info(self, writer: RecordingWriter, log_ns: int) -> None:
        message = make_label_info(self._segmenter.checkpoint.class_map, log_ns)
        for topic in self._infos:
            writer.write(topic, log_ns, typestore().serialize_cdr(message, LABEL_INFO_TYPE))

    def _restore(self, writer: RecordingWriter) -> int:
        """Go on from the last whole part. Return the number of messages that it has taken.

        Raises:
            UnfinishedError: Its state is damaged, or of another version.
        """
        if writer.state is None:
            return 0
        try:
            for topic, camera in self._cameras.items():
                camera.restore(writer.state[topic.name])
            return int(writer.state['messages'])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise writer.damaged(error) from error

    def _state(self, messages: int) -> dict[str, object]:
        return {'messages': messages, **{
            topic.name: camera.state() for topic, camera in self._cameras.items()}}

    def _report(self, parts: int, resumed_parts: int) -> BagReport:
        cameras = list(self._cameras.values())
        lines = [f'{topic.name}: {line}' for topic, camera in self._cameras.items()
                 for line in camera.warnings.lines()]
        return BagReport(sum(camera.frames for camera in cameras),
                         sum(camera.warnings.count(UNREADABLE) for camera in cameras),
                         [*self._remarks, *lines], parts, resumed_parts, self._provenance())


def _done(camera: RecordedCamera) -> int:
    """Return the number of messages that a camera has taken."""
    return camera.frames + camera.warnings.count(UNREADABLE)


def _without_absent_cameras(values: Mapping[str, object], cameras: Sequence[CameraTopic]
                            ) -> tuple[dict[str, object], list[str]]:
    """Leave out the values of cameras that the parameters name and the recording lacks.

    Returns:
        The other values, and a sentence for each camera whose values are left out.

    Raises:
        ConfigError: The parameter ``cameras`` cannot be used.
    """
    named = BY_NAME['cameras'].checked(values.get('cameras', ['']))
    present = [camera.name for camera in cameras]
    kept, remarks = dict(values), []
    for camera in named:
        own = [name for name in kept if camera not in present and shared_parameter(camera, name)]
        if own:
            remarks.append(f"the parameters of the camera '{camera}' are not used "
                           f'({", ".join(own)}): no camera here has that name; --topic '
                           f'{camera}=TOPIC gives it to one')
        kept = {name: value for name, value in kept.items() if name not in own}
    return kept, remarks


def _values_for(values: Mapping[str, object], cameras: Sequence[CameraTopic],
                survey: Survey) -> dict[str, object]:
    """Return the parameters for a recording, with the pose from TF where it has what that takes.

    A pose that the parameters give, or turn off, stays.
    """
    values = {**values, 'cameras': [camera.name for camera in cameras]}
    has_meters = any(map(len, survey.transforms.values())) and any(
        map(len, survey.calibrations.values()))
    if 'ground.pose' not in values and has_meters:
        values['ground.pose'] = 'tf'
    return values


def _in_meters(outputs: Sequence[str]) -> list[str]:
    """Return the outputs that need the ground."""
    return [name for name in outputs if Need.GROUND in OUTPUTS[name].needs]


def _missing_ground(outputs: Sequence[str], cameras: Sequence[CameraTopic],
                    camera_settings: Mapping[str, CameraSettings], survey: Survey) -> list[str]:
    """Return a sentence for each camera that gets no outputs in meters, if any are asked for."""
    names = _in_meters(outputs)
    remarks = []
    for camera in cameras:
        if names and camera_settings[camera.name].settings.ground.pose == 'off':
            missing = [survey.transforms[camera.name].missing,
                       '' if len(survey.calibrations[camera.name]) else 'no camera_info']
            reason = ' and '.join(filter(None, missing))
            remarks.append(f'{camera.topic.name}: no {", ".join(names)}: the recording has '
                           f'{reason}; give the pose of the camera by --params '
                           'with ground.pose: parameters (docs/ground.md)')
    return remarks
