"""An image that says in which pixels a camera sees the scene."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from enet_ros.perception.geometry.camera_info import is_same_aspect
from enet_ros.perception.images.formats.png import SIGNATURE
from enet_ros.perception.images.raw_image import MAX_BYTES, CompressedFile, EncodingError
from enet_ros.perception.images.read_compressed import read_compressed
from enet_ros.perception.parameters.table import ConfigError


@dataclass(frozen=True, eq=False)
class ValidMask:
    """The pixels in which a camera sees the scene, as the parameter ``valid_mask`` names them.

    Two objects are equal only if they are the same one.

    Attributes:
        path: Path of the file, as it was given.
        pixels: (H, W) uint8 of the image as it is sent: 255 sees the scene, 0 never does.
        sha256: Digest of the file.
    """

    path: str
    pixels: np.ndarray
    sha256: str

    @classmethod
    def read(cls, path: str) -> ValidMask:
        """Read the PNG file of a mask, in which 0 (black) is not valid and all else is.

        Raises:
            ConfigError: There is no such file, it is no PNG, or all of it has one meaning.
        """
        data = _read_file(path)
        try:
            pixels = read_compressed(CompressedFile(memoryview(data))).pixels
        except EncodingError as error:
            raise ConfigError(f"valid_mask is '{path}', which cannot be read: {error}") from error
        valid = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) != 0
        if not valid.any():
            raise ConfigError(f"valid_mask is '{path}', in which all pixels are 0, so nothing "
                              'would be seen; wanted 0 only where the camera never sees the scene')
        if valid.all():
            raise ConfigError(f"valid_mask is '{path}', in which no pixel is 0, so it hides "
                              'nothing; paint black what is no scene, or leave valid_mask empty')
        return cls(path, np.where(valid, np.uint8(255), np.uint8(0)),
                   hashlib.sha256(data).hexdigest())

    def check_fits(self, size: tuple[int, int]) -> None:
        """Check that the mask is for images of a size, (width, height), or of its aspect.

        Raises:
            EncodingError: It is not. Without its mask the image would have pixels that are free
                and that nobody saw.
        """
        own = self.pixels.shape[1::-1]
        if not is_same_aspect(size, own):
            raise EncodingError(f"valid_mask '{self.path}' has {own[0]}x{own[1]} pixels and "
                                f'frames have {size[0]}x{size[1]}, wanted one size, or one '
                                'aspect; draw the mask on an image of this camera')

    def unseen(self, size: tuple[int, int]) -> np.ndarray:
        """Return where the camera does not see the scene, (H, W) uint8: 255 there, else 0.

        A pixel that covers several pixels of the mask is unseen if one of them is.

        Args:
            size: (width, height) of the result.
        """
        resized = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        return cv2.threshold(resized, 254, 255, cv2.THRESH_BINARY_INV)[1]


def _read_file(path: str) -> bytes:
    """Return the content of a PNG file."""
    try:
        file = Path(path).expanduser()
        if not file.is_file():  # Reading a pipe would wait for ever.
            raise ConfigError(f"valid_mask is '{path}', and there is no such file; wanted the "
                              'path of a PNG image, or an empty text for none')
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"valid_mask is '{path}', which has more than {MAX_BYTES} bytes; "
                              'wanted a PNG image')
        data = file.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise ConfigError(f"valid_mask is '{path}', which cannot be read: {error}") from error
    if not data.startswith(SIGNATURE):
        raise ConfigError(f"valid_mask is '{path}', which is no PNG image; wanted one, since "
                          'other formats change the values of pixels')
    return data
