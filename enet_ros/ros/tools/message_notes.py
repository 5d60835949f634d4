"""What each field of the node's messages holds, for messages that are not defined here.

The definitions of sensor_msgs and nav_msgs leave open what a publisher puts into them. The fields
of enet_ros/DrivableArea and enet_ros/FrameTiming are explained in msg/.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from enet_ros.perception.outputs import JPEG_FORMAT, PNG_FORMAT


@dataclass(frozen=True)
class TopicNotes:
    """What a reader must know of a topic beside its type.

    Attributes:
        summary: What the messages say, in a sentence.
        fields: Field of the message -> what it holds. It is empty for messages of this package.
        encoding: Encoding of an image, or format of a compressed one.
        also: When a message is published beside one for each frame.
    """

    summary: str
    fields: dict[str, str] = field(default_factory=dict)
    encoding: str = ''
    also: str = ''


FRAME_HEADER = 'Header of the camera frame, copied unchanged: its stamp and its frame_id.'
BASE_HEADER = 'Stamp of the camera frame. The frame_id is the parameter base_frame.'
STALL = ('It is also published once, with nothing drivable, after stall_timeout without a '
         'finished frame, and before a network that hangs or is lost ends the process. Its stamp '
         'is then the time of the node.')
#: A field that is a copy of the input camera_info's.
COPIED = "Copied from the camera's calibration."
NOT_USED, NOT_BINNED = 'Always 0 (not used).', 'Always 0: there is no binning.'


def image_fields(encoding: str, data: str) -> dict[str, str]:
    """Return the fields of a sensor_msgs/Image."""
    channels = {'mono8': 'width', 'rgb8': 'three times width'}[encoding]
    return {'header': FRAME_HEADER,
            'height': 'Height in pixels, of the frame or of the network (output_size).',
            'width': 'Width in pixels.',
            'encoding': f'`{encoding}`.',
            'is_bigendian': 'Always 0: a channel has one byte.',
            'step': f'Length of a row in bytes: {channels}.',
            'data': data}


def compressed_fields(encoding: str, data: str) -> dict[str, str]:
    """Return the fields of a sensor_msgs/CompressedImage."""
    return {'header': FRAME_HEADER, 'format': f'`{encoding}`.', 'data': data}


def cloud_fields(height: str, width: str, dense: str, data: str) -> dict[str, str]:
    """Return the fields of a sensor_msgs/PointCloud2."""
    return {'header': BASE_HEADER, 'height': height, 'width': width,
            'fields': 'x, y and z, each a float32 in meters, in base_frame.',
            'is_bigendian': 'false.', 'point_step': '12 bytes.',
            'row_step': '12 bytes times width.', 'data': data, 'is_dense': dense}


LABELS = 'Class id of each pixel, as ~/label_info names them. 255 is unknown.'
MASK = '255 is drivable. 0 is not drivable, or unknown.'

#: Output of ros/outputs.py, by its name.
NOTES = {
    'labels': TopicNotes('The class of each pixel.', image_fields('mono8', LABELS), 'mono8'),
    'drivable_mask': TopicNotes('Where the vehicle may drive.', image_fields('mono8', MASK),
                                'mono8', STALL),
    'confidence': TopicNotes(
        'How sure the network is of each pixel.',
        image_fields('mono8', 'Probability of the class of each pixel: 0 is 0, 255 is 1.'),
        'mono8'),
    'overlay': TopicNotes(
        'The frame with the class colors blended in, for people.',
        image_fields('rgb8', 'Red, green and blue of each pixel. overlay_opacity is the share of '
                             'the class color.'), 'rgb8'),
    'camera_info': TopicNotes('The calibration for the size of the masks.', {
        'header': FRAME_HEADER, 'height': 'Height of the masks in pixels.',
        'width': 'Width of the masks in pixels.',
        'distortion_model': COPIED, 'd': f'{COPIED} It has no unit.',
        'k': 'Matrix of the camera for the size of the masks, in pixels. The binning and '
             'the region of interest of the camera are in it.',
        'r': COPIED, 'p': 'Projection for the size of the masks, in pixels.',
        'binning_x': NOT_BINNED, 'binning_y': NOT_BINNED,
        'roi': 'Always 0: the region is the whole image.'}),
    'drivable_area': TopicNotes('The drivable area in numbers and as contours.'),
    'points': TopicNotes(
        'The point on the ground that each pixel of the masks shows.',
        cloud_fields('Height of the masks.', 'Width of the masks.',
                     'false: some points are NaN.',
                     'A point for each pixel, row by row. NaN where a pixel shows no ground '
                     'within ground.max_range.')),
    'obstacles': TopicNotes(
        'Ground that is not drivable, as points for a costmap.',
        cloud_fields('1.', 'Number of points; 0 if there are none.', 'true: no point is NaN.',
                     'Points in no special order. Their z is ground.obstacle_height.')),
    'free_space': TopicNotes('How far the ground is free, in each direction.', {
        'header': BASE_HEADER, 'angle_min': 'scan.angle_min, in radians, positive to the left.',
        'angle_max': 'Bearing of the last ray, in radians.',
        'angle_increment': 'scan.angle_increment, in radians.',
        'time_increment': 'Always 0: all rays are of one frame.', 'scan_time': NOT_USED,
        'range_min': 'scan.range_min, in meters.', 'range_max': 'scan.range_max, in meters.',
        'ranges': 'Distance to the first ground that is not drivable, in meters. +inf is free as '
                  'far as scan.range_max. NaN is unknown. -inf is too close.',
        'intensities': 'Empty.'}),
    'grid': TopicNotes('The same frame seen from above.', {
        'header': BASE_HEADER + ' With odom_frame set, it is the parameter odom_frame.',
        'info': 'map_load_time is the stamp. resolution is grid.resolution, in meters. The width '
                'and the height are in cells. The origin is the corner of the first cell, in '
                'meters.',
        'data': '0 is drivable, 100 is not, -1 is unknown. Rows lie along y.'}),
    'timing': TopicNotes('Where the time of a frame went.'),
    'labels/compressed': TopicNotes(
        'The labels, for a slow connection.',
        compressed_fields(PNG_FORMAT, 'A PNG that keeps every value of ~/labels.'), PNG_FORMAT),
    'drivable_mask/compressed': TopicNotes(
        'The mask, for a slow connection.',
        compressed_fields(PNG_FORMAT, 'A PNG that keeps every value of ~/drivable_mask.'),
        PNG_FORMAT, STALL),
    'overlay/compressed': TopicNotes(
        'The overlay, for a slow connection.',
        compressed_fields(JPEG_FORMAT, 'A JPEG of quality jpeg_quality.'), JPEG_FORMAT),
}
