"""The table of parameters as rclpy declares it, and the settings a running node works by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from enet_ros.network.class_map import ClassMap, ClassMapError
from enet_ros.network.class_names import parameter_name
from enet_ros.perception.camera_settings import CameraSettings, settings_of_cameras
from enet_ros.perception.parameters.names import (
    CLASS_MAP,
    CLASS_MAP_ROWS,
    FOREIGN,
    class_map_changes,
    explain_unknown,
    shared_parameter,
)
from enet_ros.perception.parameters.settings import (
    BY_NAME,
    PARAMETERS,
    NodeSettings,
    check_parameter,
    make_settings,
)
from enet_ros.perception.parameters.table import Changes, ConfigError, Parameter
from enet_ros.perception.valid_mask import ValidMask
from enet_ros.ros.parameter_rows import given_values, make_descriptor


class NodeParameters:
    """The parameters of one node: declared here, checked as a whole, read as settings.

    A value that cannot be used does not keep the node from being built. It is remembered, and
    :meth:`settings` raises it, so that configure fails and says why.

    The methods run on the thread of the executor. Other threads only read ``camera_settings``,
    whose objects never change.

    Attributes:
        camera_settings: The settings of each camera by its name; empty unless configured.
        on_change: Called after ``camera_settings`` have changed at run time, until cleanup.
    """

    def __init__(self, node: Node):
        """Declare all :data:`enet_ros.perception.parameters.settings.PARAMETERS`."""
        self._node = node
        self._given = given_values(node)
        self._refused: dict[str, str] = {}  # parameter -> why its value cannot be used
        self._class_map: ClassMap | None = None
        self._declared_classes: dict[str, object] = {}  # as the last configure declared them
        self._kept_classes: dict[str, object] = {}  # set while configured, kept over cleanup
        self.camera_settings: dict[str, CameraSettings] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._read_mask = cache(ValidMask.read)  # anew only where the parameter is set
        for parameter in PARAMETERS:
            self._declare(parameter.name, parameter, self._given)
        node.add_on_set_parameters_callback(self._on_set)

    def settings(self) -> NodeSettings:
        """Return the checked values.

        Raises:
            ConfigError: A value that was given at the start or later cannot be used.
        """
        self._raise_refused()
        values = self._values()
        return make_settings({name: values[name] for name in BY_NAME})

    def configure(self, settings: NodeSettings, class_map: ClassMap) -> None:
        """Declare the class map and the parameters of single cameras, and make their settings.

        Args:
            settings: From :meth:`settings`.
            class_map: Class map of the weights.

        Raises:
            ClassMapError: The parameters name an unknown class, or make no usable class map.
            ConfigError: A value cannot be used.
        """
        rows = class_map_rows(class_map)
        kept = {name: value for name, value in self._kept_classes.items() if name in rows}
        given = {**self._given, **kept}
        try:
            class_map.override(class_map_changes(given))
        except ClassMapError as error:
            raise ClassMapError(f'{error}{_advice_on(kept)}') from error
        self._class_map = class_map
        for name, row in rows.items():
            self._declare(name, row, given)
        self._declared_classes = self._class_values()
        for name in self._given:
            for camera in settings.cameras:
                parameter = shared_parameter(camera, name)
                if parameter is not None and not self._node.has_parameter(name):
                    self._declare(name, parameter, given)
        self._raise_refused()
        self._read_mask.cache_clear()
        self.camera_settings = settings_of_cameras(self._values(), class_map, self._read_mask)

    def drivable_names(self) -> tuple[str, ...]:
        """Return the names of the classes that are drivable now."""
        return self._class_map.override(class_map_changes(self._values())).drivable_names

    def cleanup(self) -> None:
        """Forget the class map, since the next weights may have another.

        What was set of it is kept for the next configure.
        """
        self.camera_settings, self._class_map = {}, None
        self.on_change = lambda: None
        for name, value in self._class_values().items():
            if not np.array_equal(value, self._declared_classes.get(name, value)):
                self._kept_classes[name] = value
            self._refused.pop(name, None)
            self._node.undeclare_parameter(name)

    def unknown_overrides(self) -> list[str]:
        """Return a sentence for every value that was given or set, and that nothing declares.

        Such as a typo, or the value of a class that other weights had.
        """
        values = self._values()
        return [explain_unknown(name, values['cameras'], values, ' and has no effect')
                for name in self._given
                if name not in values and not name.startswith(FOREIGN)] + [
                f'{name} was set and has no effect, since these weights have no such class'
                for name in self._kept_classes if name not in values]

    def _values(self) -> dict[str, object]:
        """Return the values of all declared parameters by name."""
        return {name: parameter.value
                for name, parameter in self._node.get_parameters_by_prefix('').items()}

    def _class_values(self) -> dict[str, object]:
        """Return the values of the class map, while it is declared."""
        return {name: value for name, value in self._values().items()
                if name.startswith(CLASS_MAP)}

    def _declare(self, name: str, row: Parameter, given: Mapping[str, object]) -> None:
        """Declare a parameter, with its default where the given value is refused."""
        value, refusal = row.default, ''
        if name in given:
            try:
                value = dataclasses.replace(row, name=name).checked(given[name])
            except ConfigError as error:
                refusal = str(error)
        self._node.declare_parameter(name, list(value) if isinstance(value, tuple) else value,
                                     make_descriptor(row), ignore_override=True)
        if refusal:  # now, since rclpy calls _on_set for a declaration, which forgets refusals
            self._refused[name] = refusal

    def _raise_refused(self) -> None:
        for message in self._refused.values():
            raise ConfigError(message)

    def _on_set(self, parameters: list[RosParameter]) -> SetParametersResult:
        """Apply a set of changes between two frames, all or none."""
        changed = {parameter.name: parameter.value for parameter in parameters}
        own = {name: value for name, value in changed.items() if name in BY_NAME}
        try:
            if self.camera_settings:
                self._check_changeable(own)
                is_asked = any(name.endswith('valid_mask') for name in changed)
                read_mask = cache(ValidMask.read) if is_asked else self._read_mask
                self.camera_settings = settings_of_cameras({**self._values(), **changed},
                                                           self._class_map, read_mask)
                self._read_mask = read_mask
                self.on_change()
            else:
                for name, value in own.items():
                    check_parameter(name, value)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name in changed:
            self._refused.pop(name, None)
        return SetParametersResult(successful=True)

    def _check_changeable(self, changed: Mapping[str, object]) -> None:
        """Check that parameters which are read only at configure keep their values."""
        now = self._values()
        for name, value in changed.items():
            if BY_NAME[name].changes is not Changes.ANY_TIME \
                    and not np.array_equal(value, now[name]):
                raise ConfigError(
                    f'{name} can change only while the node is unconfigured, for it is read '
                    'at configure: deactivate and clean up, set it, then configure and activate')


def class_map_rows(class_map: ClassMap) -> dict[str, Parameter]:
    """Return the parameters of a class map by name, with its values as defaults."""
    return {f'{CLASS_MAP}{parameter_name(name)}.{key}':
            dataclasses.replace(CLASS_MAP_ROWS[key], default=default)
            for name, color, drivable in zip(class_map.names, class_map.colors, class_map.drivable)
            for key, default in (('color', list(color)), ('drivable', drivable))}


def _advice_on(kept: Mapping[str, object]) -> str:
    """Say which values were set before cleanup, as the end of a sentence, or ''."""
    return f'; {", ".join(kept)} was set before cleanup: to drop it, start the node anew' \
        if kept else ''
