"""One frame on its way through the node, and why it may go no further."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.encodings import CompressedFile, EncodedImage, RawImage
from enet_ros.perception.ground_tables import GroundTables
from enet_ros.perception.message_types import CameraInfo, Header
from enet_ros.perception.perceive import Need, Perception
from enet_ros.perception.segmenter import Segmentation
from enet_ros.perception.suspicion import Suspicion


class DropCause(Enum):
    """Why a frame goes no further."""

    INACTIVE = 'The node is not active, or was not when the frame came.'
    UNREQUESTED = 'No output has a subscriber, or none that can be made. The reason says which.'
    OVERTAKEN = 'A newer frame or a deactivation came before this one was decoded.'
    FAILED = 'It is too old or unreadable, or a step failed. The reason says which.'


@dataclass(frozen=True)
class Dropped:
    """The reason for which a frame is dropped.

    Attributes:
        cause: Only OVERTAKEN and FAILED count in ``dropped``.
        reason: A sentence for the log and the diagnostics, or ''.
    """

    cause: DropCause
    reason: str = ''


@dataclass
class FrameTimes:
    """When the steps of a frame were reached, in seconds of ``time.perf_counter``.

    Attributes:
        received: The message was taken.
        started: Decoding began.
        preprocessed: The input of the network was ready.
        inferring: The network began. Until then the publishing thread may have been waited for.
        inferred: The network had finished.
        postprocessing: Perception and messages began.
        sending: All messages were made.
        sent: All messages were sent.
        expires: From then on the frame is older than ``max_frame_age``, or may be so: -infinity in
            simulated time, which says nothing of the future.
    """

    received: float = 0.0
    started: float = 0.0
    preprocessed: float = 0.0
    inferring: float = 0.0
    inferred: float = 0.0
    postprocessing: float = 0.0
    sending: float = 0.0
    sent: float = 0.0
    expires: float = math.inf


@dataclass
class FrameInFlight:
    """A frame between two steps. Each step fills in what it finds.

    Attributes:
        camera: Index of the camera.
        header: Header of the message.
        source: Image as it came.
        stamp_ns: Stamp of the message in nanoseconds.
        order_sec: Time by which frames vote; see :class:`enet_ros.perception.stamps.FramePlace`.
        age_at_receive_ms: Age by the node's clock when the message was taken.
        time_epoch: Number of jumps of time before the frame.
        times: When the steps were reached.
        camera_settings: Settings of the camera. Decoding takes them, for all later steps.
        requested_outputs: Names of the outputs that have subscribers, in the order of publishing.
        needs: What these outputs are made from.
        image: Decoded image.
        image_size: (width, height) of ``image``.
        output_size: (width, height) of the published masks.
        vote_group: What frames have in common that vote together: the time line and the view.
        sample: Rows of the network's input by which the frame is judged, (rows, W, 3) uint8.
        segmentation: Result of the network. A suspect frame may be all unknown.
        suspicion: Why the frame cannot be trusted, or None.
        camera_info: Calibration of the camera, if an output needs it and it is there.
        ground: Tables of the ground, if an output needs them and they are there.
        unseen: Where the camera does not see the scene, (H, W) uint8 of the network's size: 255
            there, else 0. None if it sees it in every pixel, or if nothing tells.
        perception: Result of the perception.
    """

    camera: int
    header: Header
    source: EncodedImage | CompressedFile
    stamp_ns: int = 0
    order_sec: float = 0.0
    age_at_receive_ms: float = 0.0
    time_epoch: int = 0
    times: FrameTimes = field(default_factory=FrameTimes)
    camera_settings: CameraSettings | None = None
    requested_outputs: tuple[str, ...] = ()
    needs: Need = Need.NOTHING
    image: RawImage | None = None
    image_size: tuple[int, int] = (0, 0)
    output_size: tuple[int, int] = (0, 0)
    vote_group: tuple = ()
    sample: np.ndarray | None = None
    segmentation: Segmentation | None = None
    suspicion: Suspicion | None = None
    camera_info: CameraInfo | None = None
    ground: GroundTables | None = None
    unseen: np.ndarray | None = None
    perception: Perception | None = None
