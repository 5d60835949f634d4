"""Arrays of one camera to what Rerun draws. Each entity has one home: :class:`CameraDrawing`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import rerun as rr

from enet_ros.network.class_map import UNKNOWN, ClassMap

#: The page follows the time of arrival: stamps fall back, as when a bag begins again.
ARRIVAL, STAMP = 'arrival', 'stamp'
DRIVABLE = 255
LEGEND, LEGEND_COLUMNS = 'legend', 3
LEGEND_CELL = 3.5  # width of a name beside its height

#: Field of ``~/timing`` without ``_ms`` -> color of its line.
STAGES = {'wait': (150, 150, 150), 'preprocess': (90, 170, 255), 'inference': (255, 160, 60),
          'postprocess': (120, 220, 120), 'publish': (230, 110, 200)}
#: Value in ``/diagnostics`` -> color of its line, by the plot that shows it.
LATENCIES = {'latency_p50_ms': (140, 110, 230), 'latency_p95_ms': (255, 90, 90)}
FRAMES = {'rate_hz': (90, 170, 255), 'dropped': (255, 90, 90)}
LEVELS = ('INFO', 'WARN', 'ERROR')  # of Rerun's log, for OK, WARN, ERROR and STALE

#: Wall time at 0 of the monotonic clock. The sum of both never falls back, even if a clock is set.
_MONOTONIC_START_NS = time.time_ns() - time.monotonic_ns()
_NOT_DRIVABLE_COLOR, _DRIVABLE_COLOR = (45, 45, 50), (70, 190, 90)
_OBSTACLE_COLOR, _FREE_COLOR, _RING_COLOR = (255, 80, 60), (90, 220, 120), (190, 190, 200)
_TEXT_COLOR = (20, 20, 25)
_RING_STEP_M = 5.0
_RING_HALF_ANGLE = math.radians(60)


def annotations(class_map: ClassMap) -> rr.AnnotationContext:
    """Return the names and colors of the label ids, for the legend and the pointer."""
    colors = class_map.color_lut()
    drivable = class_map.drivable_lut()
    classes = [(i, f'{name} (drivable)' if drivable[i] else name, tuple(map(int, colors[i])))
               for i, name in class_map.labeled.items()]
    return rr.AnnotationContext([*classes, (UNKNOWN, 'unknown', tuple(map(int, colors[UNKNOWN])))])


def draw_legend(recording: rr.RecordingStream, class_map: ClassMap) -> None:
    """Draw a colored dot and the name of every class, once."""
    ids = [*class_map.labeled, UNKNOWN]
    places = [(LEGEND_CELL * (i % LEGEND_COLUMNS), i // LEGEND_COLUMNS)
              for i in range(len(ids))]
    recording.log(LEGEND, annotations(class_map), static=True)
    names = [*(class_map.names[i] + ' (drivable)' * bool(class_map.drivable_lut()[i])
               for i in ids[:-1]), 'unknown']
    recording.log(f'{LEGEND}/classes', rr.Points2D(
        places, class_ids=ids, radii=rr.Radius.ui_points(6.0), show_labels=False), static=True)
    # Apart from the dots: a name in a pale class color cannot be read.
    recording.log(f'{LEGEND}/names', rr.Points2D(
        places, labels=names, colors=[_TEXT_COLOR], radii=rr.Radius.ui_points(0.0),
        draw_order=-1.0, show_labels=True), static=True)


def legend_size(class_map: ClassMap) -> tuple[float, float]:
    """Return the place of the last dot of the legend, right and down."""
    last = len(class_map.labeled)
    return LEGEND_CELL * min(last, LEGEND_COLUMNS - 1), last // LEGEND_COLUMNS


class CameraDrawing:
    """Draws what one camera shows, at the time when it comes. The stamp is a second timeline."""

    def __init__(self, recording: rr.RecordingStream, camera: str, class_map: ClassMap,
                 opacity: float, range_m: float = 30.0):
        """Draw what does not change.

        Args:
            recording: Where to draw.
            camera: Name of the camera, or '' for the only one.
            class_map: Names and colors of the labels.
            opacity: Share of the class colors over the camera, 0 to 1.
            range_m: Greatest distance of the rings on the ground, in meters.
        """
        self._recording, self._opacity = recording, opacity
        self.path = entity_name(camera)
        self.classes(class_map)
        self._log('mask', rr.AnnotationContext([
            (0, 'not drivable, or unknown', _NOT_DRIVABLE_COLOR),
            (DRIVABLE, 'drivable', _DRIVABLE_COLOR)]), static=True)
        self._log('ground/rings', _rings(range_m), static=True)
        for plot, lines in (('latency', STAGES | LATENCIES), ('frames', FRAMES)):
            for name, color in lines.items():
                self._log(f'{plot}/{name}', rr.SeriesLines(
                    colors=[color], names=[f'{camera} {name}'.lstrip()], widths=[1.5]),
                    static=True)

    def _log(self, entity: str, shape, *, static: bool = False) -> None:
        self._recording.log(f'{self.path}/{entity}', shape, static=static)

    def classes(self, class_map: ClassMap) -> None:
        """Name and color the labels by some classes, from now on and for the past."""
        self._log('image', annotations(class_map), static=True)

    def at(self, stamp_ns: int) -> None:
        """Set the stamp of what is drawn next, and let it arrive now."""
        now_ns = _MONOTONIC_START_NS + time.monotonic_ns()
        for timeline, time_ns in ((ARRIVAL, now_ns), (STAMP, stamp_ns)):
            self._recording.set_time(timeline, timestamp=np.datetime64(time_ns, 'ns'))

    def camera(self, rgb: np.ndarray, size: tuple[int, int] | None = None) -> None:
        """Draw a frame.

        Args:
            rgb: (H, W, 3) uint8.
            size: (width, height) of the labels over it, to which it is scaled.
        """
        if size and size != rgb.shape[1::-1]:
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        # Not as JPEG: the page decodes one later than it draws, and fades the frame meanwhile.
        self._log('image/camera', rr.Image(rgb, draw_order=0.0))

    def labels(self, labels: np.ndarray) -> None:
        """Draw (H, W) uint8 class ids over the frame."""
        self._log('image/labels', rr.SegmentationImage(labels, opacity=self._opacity,
                                                         draw_order=1.0))

    def clear_labels(self) -> None:
        """Take the labels away, from now on."""
        self._log('image/labels', rr.Clear(recursive=False))

    def clear_camera(self) -> None:
        """Take the frame away, from now on."""
        self._log('image/camera', rr.Clear(recursive=False))

    def mask(self, mask: np.ndarray) -> None:
        """Draw a (H, W) uint8 mask, 255 drivable."""
        self._log('mask/mask', rr.SegmentationImage(mask))

    def confidence(self, confidence: np.ndarray) -> None:
        """Draw (H, W) uint8 probabilities, 255 sure."""
        self._log('confidence', rr.Image(confidence))

    def grid(self, cells: np.ndarray, resolution_m: float, origin: Sequence[float]) -> None:
        """Draw a grid on the ground.

        Args:
            cells: (rows along y, columns along x) int8: 0 free, 100 occupied, -1 unknown.
            resolution_m: Side of a cell.
            origin: x and y of the corner of the first cell, in meters.
        """
        colors = np.full((256, 4), (90, 90, 90, 60), np.uint8)
        colors[0], colors[100] = (60, 140, 70, 255), (150, 50, 50, 255)
        height, width = cells.shape
        image = colors[cells.view(np.uint8)][::-1]  # The first row of an image is its upper one.
        self._log('ground/grid', rr.GridMap(
            data=image.tobytes(), cell_size=resolution_m, translation=(*origin, -0.02),
            format=rr.components.ImageFormat(width=width, height=height, color_model='RGBA',
                                             channel_datatype='U8')))

    def obstacles(self, points: np.ndarray) -> None:
        """Draw (N, 3) float32 points, in meters."""
        self._log('ground/obstacles', rr.Points3D(
            points, colors=[_OBSTACLE_COLOR], radii=rr.Radius.ui_points(2.0)))

    def free_space(self, ranges: np.ndarray, angle_min: float, angle_increment: float,
                   range_max: float) -> None:
        """Draw the border of the free ground. It has gaps where nothing is known.

        Args:
            ranges: (rays,) float32 meters; infinite where free to the end, NaN unknown.
            angle_min: Angle of the first ray, in radians.
            angle_increment: Angle from one ray to the next.
            range_max: Distance at which an infinite range is drawn.
        """
        angles = angle_min + angle_increment * np.arange(len(ranges))
        lengths = np.where(np.isposinf(ranges), range_max, ranges)
        points = np.stack((lengths * np.cos(angles), lengths * np.sin(angles),
                           np.zeros_like(angles)), axis=1)
        known = np.isfinite(lengths)
        runs = np.split(np.arange(len(ranges)), np.flatnonzero(np.diff(known)) + 1)
        strips = [points[run] for run in runs if len(run) > 1 and known[run[0]]]
        self._log('ground/free_space', rr.LineStrips3D(
            strips, colors=[_FREE_COLOR], radii=rr.Radius.ui_points(2.0)))

    def timing(self, milliseconds: Mapping[str, float]) -> None:
        """Draw the time of each stage of a frame: name in STAGES -> ms."""
        for stage, value in milliseconds.items():
            if math.isfinite(value):
                self._log(f'latency/{stage}', rr.Scalars(value))

    def diagnostics(self, level: int, text: str, values: Mapping[str, str]) -> None:
        """Draw a status: a line of the log, and the numbers in it as lines of the plots."""
        if help_page := values.get('help'):
            text = f'{text} ({help_page})'
        self._log('diagnostics', rr.TextLog(text, level=LEVELS[min(level, 2)]))
        for plot, names in (('latency', LATENCIES), ('frames', FRAMES)):
            for name in names:
                value = _number(values.get(name, ''))
                if math.isfinite(value):
                    self._log(f'{plot}/{name}', rr.Scalars(value))


def entity_name(camera: str) -> str:
    """Return the first part of the paths of a camera's entities."""
    return f'cameras/{camera or "camera"}'


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _rings(range_m: float) -> rr.LineStrips3D:
    """Return arcs around the vehicle, each with its distance in meters."""
    angles = np.linspace(-_RING_HALF_ANGLE, _RING_HALF_ANGLE, 41)
    radii = np.arange(_RING_STEP_M, range_m + 0.01, _RING_STEP_M)
    arcs = [np.stack((r * np.cos(angles), r * np.sin(angles), np.zeros_like(angles)), axis=1)
            for r in radii]
    return rr.LineStrips3D(arcs, colors=[_RING_COLOR], radii=rr.Radius.ui_points(0.5),
                           labels=[f'{r:.0f} m' for r in radii], show_labels=True)
