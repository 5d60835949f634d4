"""What the readers of images remark, passed on to the diagnostics and the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from enet_ros.perception.images.raw_image import Remark
from enet_ros.ros.health import CameraHealth, Logger


class ImageRemarks:
    """Shows each remark in the diagnostics, and logs it once. One thread calls it.

    A remark about good images is a fact. One about images that only just could be read is a
    warning. Warnings of one fact are counted together, and the first is logged.

    Args:
        topic: Topic of the images, for the log.
        health: Keeps the facts of the camera.
        logger: Receives each remark once.
    """

    def __init__(self, topic: str, health: CameraHealth, logger: Logger):
        self._topic, self._health, self._logger = topic, health, logger
        self._counts: Counter[Remark | str] = Counter()

    def tell(self, remarks: Sequence[Remark]) -> None:
        """Pass on the remarks of one frame."""
        for remark in remarks:
            # A warning quotes numbers, which may differ in every frame.
            kind = remark.fact if remark.is_warning else remark
            self._counts[kind] += 1
            count = self._counts[kind]
            frames = f' ({count} frames)' if remark.is_warning else ''
            self._health.facts[remark.fact] = f'{remark.value}{frames}'
            if count == 1:
                text = f'{self._topic}: {remark.fact}: {remark.value}'
                if remark.is_warning:
                    self._logger.warning(text)
                else:
                    self._logger.info(text)
