"""The graph that the node runs, written for other runtimes and checked against torch.

The input ``frames`` is (N, H, W, 3) uint8 RGB at the network's resolution; normalization is part
of the graph. The output ``labels`` is (N, H, W) uint8 class ids. On request the output
``confidence`` is (N, H, W) float32, the winning class's probability. The class names are stored
with the file.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from enet_ros.common.overwrite import check_writable
from enet_ros.machine import import_openvino
from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import Checkpoint
from enet_ros.network.resolution import check_resolution
from enet_ros.scene.frames import street_frames

MIN_AGREEMENT = 0.999      # share of pixels on which the file and torch must agree
CONFIDENCE_TOLERANCE = 0.01
OUTPUTS = ('labels', 'confidence')

Outputs = list[np.ndarray]


class ExportError(ValueError):
    """An export that cannot be made or did not pass its check. The message says which."""


def _write_torch_export(graph: torch.nn.Module, frames: torch.Tensor, path: Path,
                        classes: str) -> None:
    torch.export.save(torch.export.export(graph, (frames,)), path,
                      extra_files={'classes': classes})


def _run_torch_export(path: Path, frames: np.ndarray) -> Outputs:
    with torch.inference_mode():
        return _arrays(torch.export.load(path).module()(torch.from_numpy(frames)))


def _write_openvino(graph: torch.nn.Module, frames: torch.Tensor, path: Path,
                    classes: str) -> None:
    ov = import_openvino()

    from enet_ros.backends.openvino import to_openvino
    model = to_openvino(graph, frames)
    model.input(0).set_names({'frames'})
    for output, name in zip(model.outputs, OUTPUTS):
        output.set_names({name})
    model.set_rt_info(classes, ['enet_ros', 'classes'])
    ov.save_model(model, path, compress_to_fp16=False)


def _run_openvino(path: Path, frames: np.ndarray) -> Outputs:
    ov = import_openvino()
    compiled = ov.Core().compile_model(path, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    return list(compiled({'frames': frames}).values())


def _write_onnx(graph: torch.nn.Module, frames: torch.Tensor, path: Path, classes: str) -> None:
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)  # it misses torchvision, unlike us
    program = torch.onnx.export(graph, (frames,), dynamo=True, verbose=False,
                                input_names=['frames'],
                                output_names=list(OUTPUTS[:1 + graph.confidence]))
    program.model.metadata_props['classes'] = classes
    program.save(path, external_data=False)


def _run_onnx(path: Path, frames: np.ndarray) -> Outputs:
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return session.run(None, {'frames': frames})


@dataclass(frozen=True)
class FileFormat:
    """A kind of file that can be written.

    Attributes:
        suffix: Suffix of the file's name, with the dot.
        packages: Packages that it needs beyond those of enet_ros.
        write: Writes a graph, from the graph, example frames, the path and the classes as JSON.
        run: Runs a written file, from the path and frames.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[torch.nn.Module, torch.Tensor, Path, str], None]
    run: Callable[[Path, np.ndarray], Outputs]


FORMATS = {
    'onnx': FileFormat('.onnx', ('onnx', 'onnxscript', 'onnxruntime'), _write_onnx, _run_onnx),
    'openvino': FileFormat('.xml', ('openvino',), _write_openvino, _run_openvino),
    'torch-export': FileFormat('.pt2', (), _write_torch_export, _run_torch_export),
}


def export(checkpoint: Checkpoint, path: str | os.PathLike, file_format: str,
           resolution: tuple[int, int] = (640, 360), batch: int = 1, *,
           confidence: bool = False) -> float:
    """Write the frame graph in float32, and run what was written.

    Args:
        checkpoint: Weights and normalization.
        path: Path of the file, with the format's suffix. openvino writes a .bin beside its .xml.
            A file that exists is replaced once the new one has passed its check.
        file_format: A key of :data:`FORMATS`.
        resolution: (width, height), multiples of 8, fixed in the file.
        batch: Frames a call, fixed in the file.
        confidence: Whether the winning class's probability is a second output.

    Returns:
        The share of pixels on which the file and torch agree, on the synthetic street.

    Raises:
        ExportError: The format is unknown, the suffix is wrong or packages are missing; or the
            outputs differ from torch's on more than 0.1 % of pixels. Nothing is kept then.
        ValueError: The resolution is impossible, the weights are not an ENet's, or the file cannot
            be written.
    """
    path = Path(path)
    _check_request(path, file_format, batch)
    frames = street_frames(check_resolution(resolution), batch, seed=4)
    graph = build_graph(checkpoint, confidence=confidence)
    classes = json.dumps(checkpoint.class_map.names)
    target = os.path.realpath(path)  # a link stays one
    with tempfile.TemporaryDirectory(dir=os.path.dirname(target),
                                     prefix=f'.{path.name}.') as folder:
        agreement = _write_and_compare(FORMATS[file_format], graph, frames,
                                       Path(folder, path.name), classes)
        if agreement < MIN_AGREEMENT:
            raise ExportError(f'{path}: the exported file and torch agree on '
                              f'{100 * agreement:.2f} % of pixels, wanted '
                              f'{100 * MIN_AGREEMENT:.1f} %; the file was not kept')
        for written in Path(folder).iterdir():
            shutil.move(written, os.path.realpath(path.parent / written.name))
    return agreement


def _write_and_compare(file_format: FileFormat, graph: torch.nn.Module, frames: np.ndarray,
                       path: Path, classes: str) -> float:
    """Write a file; return the share of pixels on which it and torch agree."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch's exporters warn about torch
        reference = _arrays(graph(torch.from_numpy(frames)))
        file_format.write(graph, torch.from_numpy(frames), path, classes)
    return agreement_of_outputs(file_format.run(path, frames), reference)


def format_of(path: str | os.PathLike) -> str:
    """Return the format of a file by its suffix.

    Raises:
        ExportError: No format has that suffix.
    """
    suffix = Path(path).suffix
    for name, file_format in FORMATS.items():
        if file_format.suffix == suffix:
            return name
    wanted = ', '.join(f'{one.suffix} ({name})' for name, one in FORMATS.items())
    raise ExportError(f"'{path}' ends in '{suffix}', wanted one of {wanted}")


def _check_request(path: Path, file_format: str, batch: int) -> None:
    """Refuse what cannot be exported, before any work is done."""
    if file_format not in FORMATS:
        raise ExportError(f"format is '{file_format}', wanted one of {', '.join(FORMATS)}")
    wanted = FORMATS[file_format]
    if path.suffix != wanted.suffix:
        raise ExportError(f"'{path}' ends in '{path.suffix}', wanted {wanted.suffix} for "
                          f'{file_format}')
    check_writable(path)
    if batch < 1:
        raise ExportError(f'batch is {batch}, wanted 1 or more')
    check_packages(file_format, wanted.packages)


def check_packages(subject: str, packages: Sequence[str]) -> None:
    """Raise an ExportError that names the missing packages, if there are any.

    Args:
        subject: What needs the packages, for the message.
        packages: Names of importable packages.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f'{subject} needs {", ".join(missing)}: pip install '
                          f'{" ".join(missing)}')


def agreement_of_outputs(outputs: Outputs, reference: Outputs) -> float:
    """Return the share of pixels that agree in label and, if given, in confidence.

    Args:
        outputs: Labels (N, H, W), and confidence (N, H, W) or nothing.
        reference: The same, by torch.

    Returns:
        The share, 0 to 1; 0 where the number or the shapes of the outputs differ.
    """
    if [array.shape for array in outputs] != [array.shape for array in reference]:
        return 0.0
    equal = outputs[0] == reference[0]
    for ours, theirs in zip(outputs[1:], reference[1:]):
        equal &= np.abs(ours - theirs) <= CONFIDENCE_TOLERANCE
    return float(equal.mean())


def _arrays(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> Outputs:
    if isinstance(outputs, torch.Tensor):
        outputs = (outputs,)
    return [output.numpy() for output in outputs]
