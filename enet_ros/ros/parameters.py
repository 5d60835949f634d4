"""The table of parameters as rclpy declares it, and the settings a running node works by."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import numpy as np
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from enet_ros.network.class_map import ClassMap, parameter_name
from enet_ros.perception.camera_settings import CameraSettings
from enet_ros.perception.parameter_table import Changes, ConfigError, Parameter
from enet_ros.perception.settings import (
    BY_NAME,
    CLASS_MAP_PROPERTIES,
    PARAMETERS,
    NodeSettings,
    check_parameter,
    make_settings,
)

CLASS_MAP = 'class_map.'

#: Parameters that rclpy declares itself, or that belong to what the node creates.
_FOREIGN = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')


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
        """Declare every parameter of :data:`enet_ros.perception.settings.PARAMETERS`."""
        self._node = node
        self._refused: dict[str, str] = {}  # parameter -> why its value cannot be used
        self._class_map: ClassMap | None = None
        self.camera_settings: dict[str, CameraSettings] = {}
        self.on_change: Callable[[], None] = lambda: None
        for parameter in PARAMETERS:
            self._declare(parameter.name, parameter.default, make_descriptor(parameter))
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
        class_map.override(class_map_changes(self._overrides()))
        self._class_map = class_map
        self._declare_class_map(class_map)
        for name in self._overrides():
            for camera in settings.cameras:
                parameter = shared_parameter(camera, name)
                if parameter is not None and not self._node.has_parameter(name):
                    self._declare(name, parameter.default, make_descriptor(parameter))
        self._raise_refused()
        self.camera_settings = self._make_camera_settings(self._values())

    def drivable_names(self) -> tuple[str, ...]:
        """Return the names of the classes that are drivable now."""
        return self._class_map.override(class_map_changes(self._values())).drivable_names

    def cleanup(self) -> None:
        """Forget the class map, since the next weights may have another."""
        self.camera_settings, self._class_map = {}, None
        self.on_change = lambda: None
        for name in self._values():
            if name.startswith(CLASS_MAP):
                self._refused.pop(name, None)
                self._node.undeclare_parameter(name)

    def unknown_overrides(self) -> list[str]:
        """Return a sentence for every given parameter that nothing declares, such as a typo."""
        declared = list(self._values())
        return [f"parameter '{name}' is not known and has no effect" + ''.join(
                    f"; did you mean '{near}'?"
                    for near in difflib.get_close_matches(name, declared, n=1))
                for name in self._overrides()
                if name not in declared and not name.startswith(_FOREIGN)]

    def _overrides(self) -> dict[str, object]:
        """Return the values that the node was started with, declared or not.

        rclpy has no public access to them. ``automatically_declare_parameters_from_overrides``
        would declare typing errors as well, and with descriptors that say nothing.
        """
        return {name: parameter.value
                for name, parameter in self._node._parameter_overrides.items()}

    def _values(self) -> dict[str, object]:
        """Return the values of all declared parameters by name."""
        return {name: parameter.value
                for name, parameter in self._node.get_parameters_by_prefix('').items()}

    def _declare(self, name: str, default: object, descriptor: ParameterDescriptor) -> None:
        """Declare a parameter, with its default where the given value is refused."""
        try:
            self._node.declare_parameter(name, default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            value = self._overrides()[name]
            self._refused[name] = f'{name} is {value!r}, wanted {type(default).__name__}: {error}'
            try:
                if name in BY_NAME:
                    check_parameter(name, value)
            except ConfigError as own:  # It says what is wanted in our words.
                self._refused[name] = str(own)
            self._node.declare_parameter(name, default, descriptor, ignore_override=True)

    def _declare_class_map(self, class_map: ClassMap) -> None:
        for name, color, drivable in zip(class_map.names, class_map.colors, class_map.drivable):
            for key, default in (('color', list(color)), ('drivable', drivable)):
                self._declare(f'{CLASS_MAP}{parameter_name(name)}.{key}', default,
                              ParameterDescriptor(description=CLASS_MAP_PROPERTIES[key]))

    def _raise_refused(self) -> None:
        for message in self._refused.values():
            raise ConfigError(message)

    def _make_camera_settings(self, values: Mapping[str, object]) -> dict[str, CameraSettings]:
        """Return the settings of every camera.

        Args:
            values: Values of all declared parameters by name.

        Raises:
            ConfigError: A value cannot be used.
            ClassMapError: The class map cannot be used.
        """
        class_map = self._class_map.override(class_map_changes(values))
        shared = {name: values[name] for name in BY_NAME}
        return {camera: CameraSettings.of(
                    make_settings({**shared, **values_of_camera(camera, values)}), class_map)
                for camera in make_settings(shared).cameras}

    def _on_set(self, parameters: list[RosParameter]) -> SetParametersResult:
        """Apply a set of changes between two frames, all or none."""
        changed = {parameter.name: parameter.value for parameter in parameters}
        own = {name: value for name, value in changed.items() if name in BY_NAME}
        try:
            if self.camera_settings:
                self._check_changeable(own)
                self.camera_settings = self._make_camera_settings({**self._values(), **changed})
                self.on_change()
            else:
                for name, value in own.items():
                    check_parameter(name, value)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name in own:
            self._refused.pop(name, None)
        return SetParametersResult(successful=True)

    def _check_changeable(self, changed: Mapping[str, object]) -> None:
        """Check that parameters which are read at configure alone keep their values."""
        now = self._values()
        for name, value in changed.items():
            if BY_NAME[name].changes is not Changes.ANY_TIME \
                    and not np.array_equal(value, now[name]):
                raise ConfigError(
                    f'{name} can change only while the node is unconfigured, for it is read '
                    'at configure: deactivate and clean up, set it, then configure and activate')


def make_descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows of a parameter."""
    descriptor = ParameterDescriptor(description=parameter.description,
                                     read_only=parameter.changes is Changes.AT_START)
    if parameter.choices:
        descriptor.additional_constraints = parameter.wanted()
    if parameter.range:
        least, greatest = parameter.range
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=least, to_value=greatest)]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=least, to_value=greatest, step=1)]
    return descriptor


def class_map_changes(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return the values of ``class_map.<class>.<property>``: class -> property -> value."""
    changes: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        if name.startswith(CLASS_MAP):
            class_name, _, key = name.removeprefix(CLASS_MAP).rpartition('.')
            changes.setdefault(class_name or key, {})[key] = value
    return changes


def shared_parameter(camera: str, name: str) -> Parameter | None:
    """Return the parameter that ``<camera>.<name>`` replaces for one camera, if it is one."""
    if not camera or not name.startswith(f'{camera}.'):
        return None
    parameter = BY_NAME.get(name.removeprefix(f'{camera}.'))
    return parameter if parameter is not None and parameter.per_camera else None


def values_of_camera(camera: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return the values that one camera has of its own, by the names of shared parameters."""
    return {parameter.name: value for name, value in values.items()
            if (parameter := shared_parameter(camera, name)) is not None}
