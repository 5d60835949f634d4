"""Settings of one camera, and what is derived from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from enet_ros.network.class_map import ClassMap
from enet_ros.perception.grid import MAX_CELLS, GridSpec
from enet_ros.perception.parameters.names import class_map_changes, values_of_camera
from enet_ros.perception.parameters.settings import BY_NAME, NodeSettings, make_settings
from enet_ros.perception.parameters.table import ConfigError
from enet_ros.perception.valid_mask import ValidMask


@dataclass(frozen=True, eq=False)
class CameraSettings:
    """Settings of one camera. Immutable: a parameter change replaces the whole object.

    Two objects are equal only if they are the same one.

    Attributes:
        settings: Settings with the values of this camera. ``scan.range_max`` is at most
            ``ground.max_range``.
        drivable_lut: Label -> 255 drivable or 0, (256,) uint8.
        color_lut: Label -> red, green and blue, (256, 3) uint8.
        grid: Place and cells of ~/grid.
        valid_mask: Pixels in which the camera sees the scene, or None for all.
    """

    settings: NodeSettings
    drivable_lut: np.ndarray
    color_lut: np.ndarray
    grid: GridSpec
    valid_mask: ValidMask | None = None

    @classmethod
    def of(cls, settings: NodeSettings, class_map: ClassMap,
           read_mask: Callable[[str], ValidMask] = ValidMask.read) -> CameraSettings:
        """Check what settings mean together, and build the lookup tables.

        Args:
            settings: Settings with the values of this camera.
            class_map: Class map of the weights, with the changes of the parameters.
            read_mask: Reads the file of ``valid_mask``.

        Raises:
            ConfigError: Two values do not go together, or ``valid_mask`` cannot be read. The
                message names them.
        """
        scan, grid, max_range = settings.scan, settings.grid, settings.ground.max_range
        if not scan.range_min < max_range:
            raise ConfigError(f'scan.range_min is {scan.range_min} and ground.max_range '
                              f'{max_range}, wanted scan.range_min below it, since no ground '
                              'beyond it is used')
        try:
            spec = GridSpec.of(grid)
        except ValueError as error:
            raise ConfigError(f'grid.length is {grid.length}, grid.width {grid.width} and '
                              f'grid.resolution {grid.resolution}: {error}') from error
        if settings.odom_frame and spec.most_rotated_cells > MAX_CELLS:
            raise ConfigError(f'grid.length is {grid.length}, grid.width {grid.width}, '
                              f'grid.resolution {grid.resolution} and odom_frame '
                              f'{settings.odom_frame!r}: rotated by 45 degrees these are '
                              f'{spec.most_rotated_cells:,} cells, wanted at most {MAX_CELLS:,}: '
                              'set a shorter grid or a greater grid.resolution, or no odom_frame')
        settings = dataclasses.replace(
            settings, scan=dataclasses.replace(scan, range_max=min(scan.range_max, max_range)),
            # tf2, unlike the TF of ROS 1, has no slash before a name.
            base_frame=settings.base_frame.lstrip('/'), odom_frame=settings.odom_frame.lstrip('/'))
        return cls(settings, class_map.drivable_lut(), class_map.color_lut(), spec,
                   read_mask(settings.valid_mask) if settings.valid_mask else None)

    @property
    def needs_transforms(self) -> bool:
        """Whether an output in meters asks TF."""
        settings = self.settings
        return settings.ground.pose == 'tf' or (
            settings.ground.pose == 'parameters' and bool(settings.odom_frame))


def settings_of_cameras(values: Mapping[str, object], class_map: ClassMap,
                        read_mask: Callable[[str], ValidMask] = ValidMask.read
                        ) -> dict[str, CameraSettings]:
    """Return the settings of each camera by its name.

    Args:
        values: Parameters of the node, of classes and of single cameras, by name.
        class_map: Class map of the weights, without the changes of the parameters.
        read_mask: Reads the file of ``valid_mask``.

    Raises:
        ConfigError: A value cannot be used.
        ClassMapError: The class map cannot be used.
    """
    class_map = class_map.override(class_map_changes(values))
    shared = {name: value for name, value in values.items() if name in BY_NAME}
    return {camera: CameraSettings.of(
                make_settings({**shared, **values_of_camera(camera, values)}), class_map,
                read_mask)
            for camera in make_settings(shared).cameras}
