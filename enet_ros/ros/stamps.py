"""Stamps of messages that anyone may have sent."""

from __future__ import annotations

from builtin_interfaces.msg import Time

SECOND_NS = 1_000_000_000


class StampError(ValueError):
    """A stamp is no time since 1970. The message says what it is."""


def to_ns(sec: int, nanosec: int) -> int:
    """Return a stamp in nanoseconds.

    ``rclpy.time.Time.from_msg`` refuses negative seconds, and takes any nanoseconds.

    Raises:
        StampError: It lies before 1970, or its nanoseconds are a second or more.
    """
    if sec < 0 or nanosec >= SECOND_NS:
        raise StampError(f'its stamp is {sec} s and {nanosec} ns, wanted 0 s or more and fewer '
                         f'than {SECOND_NS} ns')
    return sec * SECOND_NS + nanosec


def stamp_ns(stamp: Time) -> int:
    """Return the stamp of a message in nanoseconds.

    Raises:
        StampError: It is no time since 1970.
    """
    return to_ns(stamp.sec, stamp.nanosec)
