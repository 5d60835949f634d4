"""The targets of fuzzing, by name. Each is imported when it is used."""

from __future__ import annotations

from support.fuzz_run import Target

NAMES = ('image', 'compressed_image', 'camera_info', 'weights', 'class_map', 'parameter_file',
         'torch7', 'pytorch')


#: Those whose cases or readers use messages and rclpy.
NEEDS_ROS = ('image', 'compressed_image', 'camera_info', 'parameter_file')


def target_of(name):
    """Return a target.

    Raises:
        ValueError: There is no such target.
    """
    if name.startswith('canary:'):
        from support.fuzz_canaries import canary
        return canary(name.removeprefix('canary:'))
    if name not in NAMES:
        raise ValueError(f'target {name}, wanted one of {", ".join(NAMES)}')
    return globals()[f'_{name}']()


def _image():
    from support.fuzz_images import draw_image, run_image

    from enet_ros.perception.encodings import EncodingError
    from enet_ros.perception.stamps import StampError
    return Target(draw_image, run_image, (EncodingError, StampError), is_guarded=True)


def _compressed_image():
    from support.fuzz_images import draw_compressed, run_compressed

    from enet_ros.perception.encodings import EncodingError
    return Target(draw_compressed, run_compressed, (EncodingError,), is_guarded=True)


def _camera_info():
    from support.fuzz_camera_info import UNREADABLE, draw_camera_info, run_camera_info
    return Target(draw_camera_info, run_camera_info, UNREADABLE)


def _weights():
    from support.fuzz_weights import draw_weights, run_weights

    from enet_ros.network.checkpoint import CheckpointError
    return Target(draw_weights, run_weights, (CheckpointError,))


def _class_map():
    from support.fuzz_texts import draw_class_map, run_class_map

    from enet_ros.network.class_map import ClassMapError
    return Target(draw_class_map, run_class_map, (ClassMapError,))


def _parameter_file():
    from support.fuzz_texts import draw_parameter_file, run_parameter_file

    from enet_ros.perception.parameters.table import ConfigError
    return Target(draw_parameter_file, run_parameter_file, (ConfigError,))


def _torch7():
    from support.fuzz_importers import draw_torch7, run_import

    from enet_ros.network.checkpoint import CheckpointError
    return Target(draw_torch7, run_import, (CheckpointError,))


def _pytorch():
    from support.fuzz_importers import draw_pytorch, run_import

    from enet_ros.network.checkpoint import CheckpointError
    return Target(draw_pytorch, run_import, (CheckpointError,))
