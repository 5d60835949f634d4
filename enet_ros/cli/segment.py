"""``enet-ros segment``: label images and videos without ROS."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from enet_ros.cli.options import add_force, add_network_options
from enet_ros.cli.say import say
from enet_ros.common.one_line_error import printable
from enet_ros.common.overwrite import check_absent
from enet_ros.common.signals import stops_as_ctrl_c

if TYPE_CHECKING:
    from enet_ros.perception.segmenter import Segmenter

DESCRIPTION = """\
Label images and videos, without ROS.

  enet-ros segment street.jpg drive.mp4 images/ --out labeled/
  enet-ros segment drive.mp4 --frames --backend torch --out labeled/

It writes for every image, at the image's own size:
  <stem>_labels.png    class ids, one channel, 255 = unknown
  <stem>_drivable.png  255 drivable, 0 not drivable or unknown
  <stem>_overlay.png   the image with class colors blended in
and for every video <stem>_overlay.mp4. With --frames it also writes labels and drivable mask of
every frame of a video, as <stem>_000000_labels.png and so on. A file that exists already stops the
command, unless --force is given; an input is never overwritten. A file has its name once it is
whole, so a command that is stopped leaves no part of one.

An image that cannot be trusted (black, saturated, blurred, ...) is labeled as well, with a
warning (docs/suspect_frames.md).

Images and videos are taken as they are shown: EXIF orientation and a video's rotation are applied
first. Hidden files of a folder, such as ._street.jpg, are skipped. Of a folder only the images are
labeled; name its videos to label them too. Images of kinds that are not read, such as HEIC, are
named at the end.

exit code:
  0  everything was labeled
  1  files, or frames of a video, could not be read: the rest was labeled, and the end of the
     output names each with its reason
  2  called wrongly, and nothing was labeled: an input that does not exist or is neither an image
     nor a video, or a wrong option; or an output cannot be written, and those that were written
     before stay
  130  stopped by Ctrl-C or SIGTERM
"""

OPACITY = 0.5
MOST_NAMES = 8  # of files that are left out
FRAME_NAME = re.compile(r'(.+)_\d{6,}_(?:labels|drivable)\.png')  # written for a video's frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('inputs', nargs='+', metavar='INPUT',
                        help='an image, a video, or a folder of images')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR',
                        help='folder to write to; it is made where it does not exist')
    parser.add_argument('--frames', action='store_true',
                        help='also write labels and drivable mask of every frame of a video')
    add_force(parser)
    add_network_options(parser, (640, 360))


def run(args: argparse.Namespace) -> int:
    """Label everything that can be read; return the exit code."""
    from enet_ros.media import is_video
    from enet_ros.perception.segmenter import Segmenter

    paths, videos_left_out = _find_files(args.inputs)
    outputs = Outputs(paths, with_frames=args.frames)
    check_absent(outputs.files_to_replace(args.out), force=args.force)
    segmenter = Segmenter.from_file(args.weights, resolution=args.resolution,
                                    backend=args.backend, precision=args.precision,
                                    threads=args.threads)
    say(segmenter.choice)
    args.out.mkdir(parents=True, exist_ok=True)
    videos = [path for path in paths if is_video(path)]
    images = [path for path in paths if path not in videos]
    with stops_as_ctrl_c():
        problems = _segment_images(segmenter, images, args.out)
        labeled = len(images) - len(problems)
        for path in videos:
            count, problem = _segment_video(segmenter, path, args.out, with_frames=args.frames)
            labeled += bool(count)
            problems += [problem] if problem else []
    if labeled:
        say(f'written to {args.out}')
    _report_left_out('video', videos_left_out, 'Videos are labeled only if they are named')
    _report_left_out('image', _unread_images(args.inputs),
                     'Such images must be converted first, to JPEG or PNG')
    return _report(problems, len(paths))


def _find_files(inputs: list[str]) -> tuple[list[Path], list[Path]]:
    """Find the files to label: those that are named, and the images of folders.

    Returns:
        These files, and the videos of folders that are not named.

    Raises:
        SourceError: An input does not exist, has no images, or is neither image nor video.
    """
    from enet_ros.media import check_is_media, existing, list_videos
    paths, videos = [], []
    for text in inputs:
        path = existing(text)
        if path.is_dir():
            videos_here = list_videos(path)
            paths += _images_of(path, videos_here)
            videos += videos_here
        else:
            check_is_media(path)
            paths.append(path)
    named = {path.resolve() for path in paths}
    return paths, [path for path in videos if path.resolve() not in named]


def _images_of(folder: Path, videos: list[Path]) -> list[Path]:
    """Return the images of a folder, which has these videos beside them.

    Raises:
        SourceError: It has none. If it has videos, the message says to name them.
    """
    from enet_ros.media import SourceError, list_images
    try:
        return list_images(folder)
    except SourceError as error:
        if not videos:
            raise
        plural = 's' if len(videos) > 1 else ''
        raise SourceError(f"'{folder}' has no images, only {len(videos)} video{plural}: name each "
                          f"to have it labeled, such as '{videos[0]}'") from error


def _unread_images(inputs: list[str]) -> list[Path]:
    """Return the images of folders whose kind is not read, such as HEIC."""
    from enet_ros.media import existing, list_unread
    folders = [path for path in map(existing, inputs) if path.is_dir()]
    return [path for folder in folders for path in list_unread(folder)]


def _report_left_out(kind: str, paths: list[Path], remedy: str) -> None:
    """Name the first files of folders that were not labeled, and say what to do."""
    if not paths:
        return
    count = f'1 {kind} of a folder was' if len(paths) == 1 else (
        f'{len(paths)} {kind}s of folders were')
    names = ', '.join(f"'{path}'" for path in paths[:MOST_NAMES])
    more = ' and others' if len(paths) > MOST_NAMES else ''
    say(f'{count} left out: {names}{more}. {remedy}')


def _report(problems: list[str], count: int) -> int:
    """Print what could not be read at the end, where it is seen; return the exit code."""
    if not problems:
        return 0
    say(f'enet-ros segment: {len(problems)} of {count} inputs could not be read, or not wholly:',
        *(f'  {problem}' for problem in problems))
    return 1


class Outputs:
    """Which input writes which file."""

    def __init__(self, paths: list[Path], *, with_frames: bool):
        """Name the files.

        Args:
            paths: Images and videos.
            with_frames: Whether the frames of videos are written as well.

        Raises:
            ValueError: Two inputs would write the same file.
        """
        from enet_ros.media import is_video
        self._inputs = {path.resolve(): path for path in paths}
        videos = [path for path in paths if is_video(path)]
        #: Stem of a video whose frames are written -> the video.
        self._videos = {path.stem: path for path in videos if with_frames}
        self._writers: dict[str, Path] = {}
        for path in paths:
            kinds = ['overlay.mp4'] if path in videos else [
                'labels.png', 'drivable.png', 'overlay.png']
            for name in (f'{path.stem}_{kind}' for kind in kinds):
                other = self._writer_of(name)
                if other not in (None, path):
                    raise ValueError(f"'{other}' and '{path}' would both write {name}; wanted "
                                     'different names')
                self._writers[name] = path

    def _writer_of(self, name: str) -> Path | None:
        frame = FRAME_NAME.fullmatch(name)
        return self._writers.get(name) or (self._videos.get(frame[1]) if frame else None)

    def files_to_replace(self, out: Path) -> list[Path]:
        """Return the files of the folder that the outputs would replace.

        Raises:
            ValueError: One of them is an input.
        """
        to_replace = []
        for target in sorted(out.iterdir()) if out.is_dir() else []:
            writer = self._writer_of(target.name)
            if writer and target.resolve() in self._inputs:
                raise ValueError(f"'{writer}' would write '{target}', which is the input "
                                 f"'{self._inputs[target.resolve()]}'; wanted another --out")
            if writer:
                to_replace.append(target)
        return to_replace


def _segment_images(segmenter: Segmenter, paths: list[Path], out: Path) -> list[str]:
    """Label images; return a sentence for each that cannot be read."""
    from tqdm import tqdm

    from enet_ros.cli.suspects import suspicion_of_image
    from enet_ros.media import SourceError, read_image, write_image
    problems = []
    for path in tqdm(paths, unit='image', disable=None if paths else True):
        try:
            frame = read_image(path)
        except SourceError as error:
            problems.append(str(error))
            continue
        segmentation = segmenter.segment([frame], confidence=True)[0]
        labels = segmentation.labels
        suspicion = suspicion_of_image(segmenter, frame, segmentation)
        if suspicion is not None:
            tqdm.write(printable(f"warning: '{path}' is suspect: {suspicion.reason}"), sys.stderr)
        _write_labels(segmenter, labels, out / path.stem)
        write_image(out / f'{path.stem}_overlay.png', _overlay(segmenter, frame, labels))
    return problems


def _write_labels(segmenter: Segmenter, labels: np.ndarray, stem: Path) -> None:
    """Write the labels and the drivable mask."""
    from enet_ros.media import write_image
    from enet_ros.perception.drivable import drivable_mask
    write_image(f'{stem}_labels.png', labels)
    write_image(f'{stem}_drivable.png',
                drivable_mask(labels, segmenter.checkpoint.class_map.drivable_lut()))


def _overlay(segmenter: Segmenter, frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the frame with class colors blended in."""
    from enet_ros.perception.overlay import blend, color_mask
    return blend(frame, color_mask(labels, segmenter.checkpoint.class_map.color_lut()), OPACITY)


def _segment_video(segmenter: Segmenter, path: Path, out: Path, *,
                   with_frames: bool) -> tuple[int, str]:
    """Label a video.

    Returns:
        The number of frames, and a sentence if the video or a part of it cannot be read, or ''.
    """
    from tqdm import tqdm

    from enet_ros.cli.suspects import SuspectCounter, sample_frame
    from enet_ros.media import SourceError, Video, VideoWriter
    try:
        video = Video(path)
    except SourceError as error:
        return 0, str(error)
    count, suspects = 0, SuspectCounter(video.fps, segmenter.least_confidence)
    with VideoWriter(out / f'{path.stem}_overlay.mp4', video.fps) as writer:
        for frame in tqdm(video, total=video.count or None, unit='frame',
                          desc=printable(path.name), disable=None):
            segmentation = segmenter.segment([frame], confidence=True)[0]
            suspects.add(sample_frame(segmenter, frame), segmentation)
            labels = segmentation.labels
            writer.write(_overlay(segmenter, frame, labels))
            if with_frames:
                _write_labels(segmenter, labels, out / f'{path.stem}_{count:06d}')
            count += 1
    if sentence := suspects.describe_video():
        say(f"warning: '{path}': {sentence}")
    return count, video.missing(count)
