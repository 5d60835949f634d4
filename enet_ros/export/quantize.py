"""The frame graph in 8-bit integers for OpenVINO, stored with the weights that it was made from.

NNCF runs the graph on images, sees which values occur, and chooses the scales by them. What stays
in float, and why, is in docs/int8.md.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from enet_ros.backends.agreement import agreeing_share
from enet_ros.backends.openvino import convert_checkpoint, model_files, openvino_version
from enet_ros.common.overwrite import check_writable
from enet_ros.export.formats import ExportError, check_packages
from enet_ros.media import existing, list_images, read_image
from enet_ros.network.checkpoint import Checkpoint, write_checkpoint
from enet_ros.network.quantized import QuantizedGraph
from enet_ros.network.resolution import check_resolution
from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import Segmenter

if TYPE_CHECKING:
    import openvino as ov

SUFFIX = '.safetensors'
MAX_IMAGES = 300        # for calibration; with more the scales hardly change any more
CHECKED_IMAGES = 8
MIN_AGREEMENT = 0.95    # share of pixels as in float32; the shipped weights reach 98.5 %

#: Max-pooling and unpooling compare values, which must stay what they are. These operators are
#: those of ``BY_CONVOLUTION`` in :mod:`enet_ros.network.unpooling`.
LEFT_IN_FLOAT = ['GroupConvolution', 'Interpolate', 'Equal', 'Greater', 'Maximum', 'Select']


def export_int8(checkpoint: Checkpoint, path: str | os.PathLike, folder: str | os.PathLike,
                resolution: tuple[int, int] = (640, 360)) -> tuple[float, int]:
    """Quantize, write the weights with the result, and run what was written.

    Args:
        checkpoint: Weights and normalization. A quantized graph that it has is replaced.
        path: Path of the .safetensors file. A file that exists is replaced once the new one has
            passed its check.
        folder: Folder of images like those that the network will see.
        resolution: (width, height), multiples of 8, at which int8 will run.

    Returns:
        The share of pixels with the label that float32 gives them, on some of the images; and the
        number of images used for calibration.

    Raises:
        ExportError: The suffix is wrong, nncf is missing, or less than 95 % of pixels agree.
            Nothing is kept then.
        ValueError: There are no images (SourceError), the resolution is impossible, the weights
            are not an ENet's, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ExportError(f"'{path}' ends in '{path.suffix}', wanted {SUFFIX} for int8: it is for "
                          'openvino, and goes with the weights')
    check_writable(path)
    check_packages('int8', ('nncf',))
    resolution = check_resolution(resolution)
    images = calibration_images(folder)
    quantized = replace(checkpoint, int8=quantize(checkpoint, images, resolution))
    target = Path(os.path.realpath(path))  # a link stays one
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{path.name}.') as private:
        written = Path(private, path.name)
        write_checkpoint(written, quantized, str(checkpoint.tensors['fullconv.weight'].dtype))
        agreement = int8_agreement(written, _spread(images, CHECKED_IMAGES), resolution)
        if agreement < MIN_AGREEMENT:
            raise ExportError(f'{path}: int8 and float32 agree on {100 * agreement:.2f} % of '
                              f'pixels, wanted {100 * MIN_AGREEMENT:.0f} %; the file was not kept')
        os.replace(written, target)
    return agreement, len(images)


def calibration_images(folder: str | os.PathLike) -> list[Path]:
    """Return at most 300 images of a folder, evenly spread over it.

    Raises:
        SourceError: There is no such folder, or it has no image.
        ExportError: The path is a file.
    """
    folder = existing(os.fspath(folder))
    if not folder.is_dir():
        raise ExportError(f"'{folder}' is no folder, wanted one of images to calibrate with")
    return _spread(list_images(folder), MAX_IMAGES)


def _spread(items: Sequence[Path], count: int) -> list[Path]:
    indices = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[i] for i in indices]


def quantize(checkpoint: Checkpoint, images: Sequence[Path],
             resolution: tuple[int, int]) -> QuantizedGraph:
    """Quantize the frame graph. NNCF shows its progress.

    Args:
        checkpoint: Weights and normalization.
        images: Files to calibrate with, at least one.
        resolution: (width, height) of the graph, in pixels.
    """
    nncf = _nncf()
    model = convert_checkpoint(checkpoint, resolution)
    data = nncf.Dataset(images, lambda path: resize_frame(read_image(path), resolution)[None])
    scope = nncf.IgnoredScope(names=names_left_in_float(model), types=LEFT_IN_FLOAT,
                              validate=False)
    quantized = nncf.quantize(model, data, preset=nncf.QuantizationPreset.PERFORMANCE,
                              subset_size=len(images), ignored_scope=scope)
    xml, numbers = model_files(quantized)
    versions = {'openvino': openvino_version(), 'nncf': nncf.__version__}
    return QuantizedGraph(xml, numbers, resolution, checkpoint.float_fingerprint(),
                          len(images), versions)


def _nncf():
    """Import NNCF so that it prints only its progress and sends nothing anywhere."""
    os.environ.setdefault('NNCF_CI', '1')  # without it NNCF reports its use to its makers
    import nncf
    nncf.set_log_level(logging.ERROR)
    return nncf


def names_left_in_float(model: ov.Model) -> list[str]:
    """Name the operations of a frame graph that gain nothing from 8 bits, or lose most by them.

    These are the operations at half of the resolution and above: the initial block, the last
    stage and the classes.
    """
    half = model.input(0).shape[2] // 2
    return [op.get_friendly_name() for op in model.get_ordered_ops()
            if op.get_output_size() and _row(op) >= half]


def _row(op: ov.Node) -> int:
    """Return the number of pixels in a row of the output.

    Features are (N, C, H, W); of (N, C, H W) the row is all of them; of another shape it is 0.
    """
    shape = op.output(0).partial_shape
    return shape.to_shape()[-1] if shape.is_static and len(shape) in (3, 4) else 0


def int8_agreement(weights: Path, images: Sequence[Path], resolution: tuple[int, int]) -> float:
    """Return the share of pixels on which int8 and float32 of a weights file give one label."""
    frames = np.stack([resize_frame(read_image(image), resolution) for image in images])
    quantized, exact = (
        Segmenter.from_file(weights, resolution=resolution, backend='openvino',
                            precision=precision, use_cache=False).infer(frames)
        for precision in ('int8', 'float32'))
    return agreeing_share(np.stack([one.labels for one in quantized]),
                          np.stack([one.labels for one in exact]))
