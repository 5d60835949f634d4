"""What a class name is called elsewhere: in parameters, in other data sets, among known colors."""

from __future__ import annotations

_UNLABELED = frozenset({'unlabeled', 'unlabelled', 'void', 'unknown', 'ignore'})


def is_unlabeled(name: str) -> bool:
    """Tell whether a name means that a pixel was not labeled. Such a class is published as 255."""
    return name.lower() in _UNLABELED


def parameter_name(name: str) -> str:
    """Return a class name as parameters write it, without spaces and dots.

    Capitals stay, since users type what ``ros2 param list`` shows.
    """
    return name.strip().replace(' ', '_').replace('.', '_')


def color_key(name: str) -> str:
    """Return a class name without capitals and spaces, to look its color up.

    It is stricter than :func:`class_key`, so that a class keeps the color that it has had.
    """
    return name.lower().replace(' ', '')


def class_key(name: str) -> str:
    """Return a class name without capitals, spaces, dots, _ and -, to compare data sets.

    So 'traffic light' of Cityscapes is 'TrafficLight' of ENet's authors.
    """
    return ''.join(c for c in name.lower() if c not in ' _-.')
