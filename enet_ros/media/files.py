"""Names of image and video files: which are read, which are skipped, and why one cannot be."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

#: Endings of the names of image files, in lower case.
IMAGE_SUFFIXES = frozenset({'.png', '.jpg', '.jpeg', '.jfif', '.bmp', '.tif', '.tiff', '.webp',
                            '.pgm', '.ppm', '.pnm'})
#: Endings of images that are not read, in lower case: of phones, cameras, renderers and the web.
UNREAD_SUFFIXES = frozenset({'.heic', '.heif', '.avif', '.jxl', '.jp2', '.dng', '.cr2', '.cr3',
                             '.nef', '.arw', '.raw', '.exr', '.hdr', '.tga', '.gif', '.svg'})
#: Endings of the names of video files, in lower case.
VIDEO_SUFFIXES = frozenset({'.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm', '.mpg', '.mpeg'})

#: First bytes of the image files that are read: PNG, JPEG, BMP, TIFF, WebP and PPM.
IMAGE_STARTS = (b'\x89PNG', b'\xff\xd8\xff', b'BM', b'II', b'MM', b'RIFF', b'P5', b'P6')

#: Greatest size of an image file. Its pixels may take as much again, see ``images``.
MAX_FILE_BYTES = 256_000_000

#: What an error about the path of a live camera says as well.
LIVE_CAMERA_ADVICE = ('; a live camera needs a driver that publishes it, such as usb_cam or '
                      'v4l2_camera (docs/camera.md)')

#: macOS puts its notes about files into this folder of a zip archive, under the files' own names.
ARCHIVE_NOTES = '__MACOSX'

#: What is found in the place of an image when a download or a checkout went wrong.
#: Of files of HEIC and AVIF, behind their first four bytes.
_HEIF = tuple(b'ftyp' + brand for brand in (b'heic', b'heix', b'hevc', b'mif1', b'msf1', b'avif',
                                            b'avis'))
WRONG_STARTS = ((b'version https://git-lfs', 'it is a Git LFS pointer; fetch the file itself with '
                                             "'git lfs pull'"),
                (b'<!doctype', 'it is a web page, so the download was not the file itself'),
                (b'<html', 'it is a web page, so the download was not the file itself'))


class SourceError(ValueError):
    """A file or folder that gives no frames. The message names it and what was wanted."""


def is_video(path: Path) -> bool:
    """Tell by its name whether a file is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_hidden(path: Path) -> bool:
    """Tell whether a listing skips a file, such as ``._a.png``, which macOS leaves beside a.png.

    Args:
        path: Below the folder that is listed; the folder's own name does not count.
    """
    return any(part.startswith('.') or part == ARCHIVE_NOTES for part in path.parts)


def existing(path: str) -> Path:
    """Return the path of a file or folder that exists; ``~`` is the home folder.

    Raises:
        SourceError: The path does not exist, or is a device or a pipe.
    """
    expanded = Path(os.path.expanduser(path))
    advice = LIVE_CAMERA_ADVICE if path.startswith('/dev/video') else ''
    if not expanded.exists():
        raise SourceError(f"'{path}' does not exist, wanted an image, a video or a folder{advice}")
    if not expanded.is_dir() and not expanded.is_file():  # Reading would wait for ever.
        raise SourceError(f"'{path}' is a device or a pipe, wanted a file or a folder{advice}")
    return expanded


def check_is_media(path: Path) -> None:
    """Check that a file is an image or a video by its name, or an image by its first bytes.

    Raises:
        SourceError: It is neither.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES and not _starts_as_image(path):
        raise SourceError(f"'{path}' is neither an image nor a video, wanted a folder, an image, "
                          'or a file that ends in '
                          f'{", ".join(sorted(IMAGE_SUFFIXES))}, '
                          f'{", ".join(sorted(VIDEO_SUFFIXES))}')


def _starts_as_image(path: Path) -> bool:
    try:
        with path.open('rb') as file:
            return file.read(8).startswith(IMAGE_STARTS)
    except OSError:
        return True  # Reading it says why it cannot be read.


def list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder in the order of their names, without hidden ones.

    Raises:
        SourceError: The folder cannot be listed or has no image file.
    """
    images = _list_suffixes(folder, IMAGE_SUFFIXES)
    paths = _without_hidden(images, folder)
    if not paths:
        hidden = f' ({len(images)} hidden files are skipped)' if images else ''
        unread = list_unread(folder)
        remedy = f". '{unread[0].name}' must be converted first, to JPEG or PNG" if unread else ''
        raise SourceError(f"'{folder}' has no images{hidden}, wanted files that end in "
                          f'{", ".join(sorted(IMAGE_SUFFIXES))}{remedy}')
    return paths


def list_unread(folder: Path) -> list[Path]:
    """Return the images of a folder that are of no kind that is read, without hidden ones.

    Raises:
        SourceError: The folder cannot be listed.
    """
    return _without_hidden(_list_suffixes(folder, UNREAD_SUFFIXES), folder)


def list_videos(folder: Path) -> list[Path]:
    """Return the video files of a folder in the order of their names, without hidden ones.

    Raises:
        SourceError: The folder cannot be listed.
    """
    return _without_hidden(_list_suffixes(folder, VIDEO_SUFFIXES), folder)


def _list_suffixes(folder: Path, suffixes: Collection[str]) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in suffixes]
    except OSError as error:
        raise SourceError(f"'{folder}' cannot be listed: {error.strerror}") from error


def _without_hidden(paths: Iterable[Path], folder: Path) -> list[Path]:
    return sorted(path for path in paths if not is_hidden(path.relative_to(folder)))


def read_bytes(path: Path) -> bytes:
    """Return the content of an image file.

    Raises:
        SourceError: It cannot be read, is empty, or is larger than any image that is taken. The
            message is the reason alone.
    """
    try:
        status = path.stat()  # first of all, since reading from a pipe would wait for ever
        if stat.S_ISDIR(status.st_mode):
            raise SourceError('it is a folder')
        if not stat.S_ISREG(status.st_mode):
            raise SourceError('it is a device or a pipe, wanted a file')
        if not status.st_size:
            raise SourceError('it is empty')
        if status.st_size > MAX_FILE_BYTES:
            raise SourceError(f'it has {status.st_size} bytes, wanted at most {MAX_FILE_BYTES}')
        return path.read_bytes()
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error


def describe_start(data: bytes) -> str:
    """Say what a file is that was taken for an image, by its first bytes."""
    start = data[:64].lstrip().lower()
    for prefix, text in WRONG_STARTS:
        if start.startswith(prefix):
            return text
    kind = 'is HEIC or AVIF' if data[4:12] in _HEIF else f'begins with {data[:8]!r}'
    return f'it {kind}, wanted a PNG, JPEG, BMP, TIFF, WebP or PPM'
