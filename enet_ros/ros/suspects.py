"""What is said of suspect frames, in the diagnostics and on the log."""

from __future__ import annotations

from enet_ros.perception.frame import FrameInFlight
from enet_ros.ros.health import CameraHealth


class SuspectReport:
    """Tells of one camera whether its frames can be trusted. The publishing thread calls it.

    Attributes:
        is_ok: Whether the diagnostics say that the last frame could be trusted.
    """

    def __init__(self, health: CameraHealth):
        self._health, self.is_ok = health, False

    def tell(self, frame: FrameInFlight) -> None:
        """Show in the diagnostics whether a frame can be trusted, and log why not."""
        suspicion = frame.suspicion
        self.is_ok = suspicion is None
        self._health.facts['image'] = 'ok' if suspicion is None else suspicion.fault.value
        reason = '' if suspicion is None else suspicion.reason
        if suspicion is not None and frame.camera_settings.settings.suspect_frames == 'unknown':
            reason += '; its outputs are unknown (suspect_frames)'
        self._health.warnings.warn('suspect frame', reason, lasts=True)
