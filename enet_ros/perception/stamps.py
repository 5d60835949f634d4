"""The stamps of messages: which can be, and a camera's by order, jumps and age. No ROS."""

from __future__ import annotations

from dataclasses import dataclass

from enet_ros.perception.message_types import Stamp

SECOND_NS = 1_000_000_000
#: A stamp that falls back farther than this belongs to a new time line, as of a bag that begins
#: again. Drivers whose stamps jitter, and frames that overtake each other, stay well below.
JUMP_NS = 500_000_000
#: Frames with one and the same stamp, after which stamps count as standing still.
STILL_FRAMES = 3
#: Frames one after the other with stamps that advance, after which stamps run again.
ADVANCING_FRAMES = 20
#: Later than every stamp.
NEVER_NS = 1 << 63
#: Least step of the order of frames that a float of seconds resolves today.
ORDER_STEP_NS = 1_000
#: Times below this are no wall time; see :func:`is_wall_time`.
FIRST_WALL_TIME_SEC = 1e9  # in the year 2001


class StampError(ValueError):
    """A stamp is no time since 1970. The message says what it is."""


def to_ns(sec: int, nanosec: int) -> int:
    """Return a stamp in nanoseconds.

    Raises:
        StampError: It lies before 1970, or its nanoseconds are a second or more.
    """
    if sec < 0 or nanosec >= SECOND_NS:
        raise StampError(f'its stamp is {sec} s and {nanosec} ns, wanted 0 s or more and fewer '
                         f'than {SECOND_NS} ns')
    return sec * SECOND_NS + nanosec


def ns_of_stamp(stamp: Stamp) -> int:
    """Return the stamp of a message in nanoseconds.

    Raises:
        StampError: It is no time since 1970.
    """
    return to_ns(stamp.sec, stamp.nanosec)


def is_wall_time(time_sec: float) -> bool:
    """Tell whether a time is wall time. Else it is simulated time, or the time since a start."""
    return time_sec >= FIRST_WALL_TIME_SEC


@dataclass(frozen=True)
class FramePlace:
    """Where a late frame stands among the frames of its camera.

    Attributes:
        order_sec: Time by which the frame votes.
        jump_ns: How far time jumped back before this frame, or 0.
    """

    order_sec: float
    jump_ns: int = 0


class FrameClock:
    """Orders the frames of one camera. The receiving thread calls it, except for take_note.

    A frame with a stamp after ``newest_ns`` is in order: the caller sets ``newest_ns`` and asks
    nothing. :meth:`place_late` places the others. Stamps that jitter backwards by less than
    ``JUMP_NS`` do not change the order of arrival.

    Where stamps stand still, frames are ordered by their arrival, until the stamps have advanced
    with every frame for a while. Stamps stand still if the driver sets none (0), or only seconds.

    Attributes:
        newest_ns: Greatest stamp since the last jump, in nanoseconds. While stamps stand still it
            is greater than every stamp, so that :meth:`place_late` places all frames.
    """

    def __init__(self):
        self.newest_ns = -1
        self._order_ns = self._still_ns = -1
        self._repeats = self._advances = 0
        self._note = ''

    def take_note(self) -> str:
        """Return what was unusual about the stamps since the last call, a sentence or ''."""
        note, self._note = self._note, ''
        return note

    def place_late(self, stamp_ns: int, received_sec: float) -> FramePlace:
        """Return the place of a frame whose stamp is not after ``newest_ns``.

        Args:
            stamp_ns: Stamp of the frame, in nanoseconds.
            received_sec: When it was received, by a clock that never jumps.
        """
        if self.newest_ns == NEVER_NS:
            return self._place_by_arrival(stamp_ns, received_sec)
        if stamp_ns < self.newest_ns - JUMP_NS:
            jump_ns = self.newest_ns - stamp_ns
            self._note = f'stamps jumped back by {jump_ns / 1e9:.3g} s; votes and rates began anew'
            self.newest_ns = self._order_ns = stamp_ns
            return FramePlace(stamp_ns / 1e9, jump_ns)
        if stamp_ns == self.newest_ns:
            return FramePlace(self._order_of_repeated(stamp_ns, received_sec))
        self._order_ns = max(self.newest_ns, self._order_ns) + ORDER_STEP_NS
        return FramePlace(self._order_ns / 1e9)

    def _order_of_repeated(self, stamp_ns: int, received_sec: float) -> float:
        """Return the order of a frame with the stamp of the frame before, in seconds."""
        if stamp_ns != self._still_ns:
            self._still_ns, self._repeats = stamp_ns, 0
        self._repeats += 1
        if stamp_ns and self._repeats < STILL_FRAMES:  # The frame came twice: its place is taken.
            return max(self.newest_ns, self._order_ns) / 1e9
        self.newest_ns, self._advances = NEVER_NS, 0
        return self._place_by_arrival(stamp_ns, received_sec).order_sec

    def _place_by_arrival(self, stamp_ns: int, received_sec: float) -> FramePlace:
        """Return the place of a frame while stamps stand still."""
        jump_ns = max(self._still_ns - stamp_ns, 0)
        has_jumped = jump_ns > JUMP_NS
        self._advances = self._advances + 1 if stamp_ns > self._still_ns else 0
        self._still_ns = stamp_ns if has_jumped else max(stamp_ns, self._still_ns)
        if self._advances >= ADVANCING_FRAMES:  # The stamps run again.
            self.newest_ns = self._order_ns = stamp_ns
            self._repeats = 0
            return FramePlace(stamp_ns / 1e9)
        sec = f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}'.rstrip('0').rstrip('.')
        self._note = f'stamps stand still at {sec} s; frames vote in the order of arrival'
        return FramePlace(received_sec, jump_ns if has_jumped else 0)


def age_problem(age_sec: float, stamp_sec: float, max_age_sec: float, *,
                use_sim_time: bool, waited_sec: float = 0.0) -> str:
    """Return why the age of a frame is refused, or ''.

    A frame from the future is no fresher than an old one: its clock is another one.

    Args:
        age_sec: Age by the node's clock; negative in the future.
        stamp_sec: Stamp of the frame.
        max_age_sec: Greatest age, in seconds, in either direction. 0 allows every age.
        use_sim_time: Whether the node's clock is simulated time.
        waited_sec: Part of the age since the frame was received.
    """
    if not max_age_sec or abs(age_sec) <= max_age_sec:
        return ''
    clock = (f"the node's clock, which is {'simulated' if use_sim_time else 'wall'} time "
             f'(use_sim_time is {str(use_sim_time).lower()})')
    when = (f'{age_sec:.3f} s old' if age_sec > 0 else
            f'{-age_sec:.3f} s in the future')
    advice = _clock_advice(age_sec - waited_sec, stamp_sec, use_sim_time=use_sim_time)
    if not advice and age_sec < 0:
        advice = ': the clock of the camera is ahead; synchronize the clocks'
    elif not advice and age_sec - waited_sec <= max_age_sec:  # It was young enough when it came.
        advice = (f': {waited_sec:.3f} s of that passed in the node; lower the resolution or the '
                  'rate of the camera, or raise max_frame_age')
    return (f'frame is {when} by {clock}, wanted at most {max_age_sec:g} s (max_frame_age)'
            f'{advice}')


def _clock_advice(age_sec: float, stamp_sec: float, *, use_sim_time: bool) -> str:
    """Return what a wrong age comes from, as the end of a sentence, or ''."""
    now_sec = stamp_sec + age_sec
    if stamp_sec == 0.0:
        return ': its stamp is 0, so the driver sets none; set max_frame_age to 0'
    if use_sim_time and now_sec < 1e-3:
        return ': that clock stands at 0, since nothing publishes /clock'
    is_wall_stamp, is_wall_clock = is_wall_time(stamp_sec), is_wall_time(now_sec)
    if is_wall_clock and not is_wall_stamp:
        return (': its stamp is simulated time or the time since a start; set use_sim_time to '
                'true if something publishes /clock')
    if is_wall_stamp and not is_wall_clock:
        return ': its stamp is wall time; set use_sim_time to false, or stamp in simulated time'
    return ''
