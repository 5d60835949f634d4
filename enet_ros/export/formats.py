"""The graph the node runs, written for other runtimes and checked against torch.

Input ``frames`` is (N, H, W, 3) uint8 RGB at the network's size; normalisation is inside. Outputs
are ``labels``, (N, H, W) uint8 class ids, and on request ``confidence``, (N, H, W) float32, the
winning class's probability. Class names go with the file.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from enet_ros.network.build import build_graph
from enet_ros.network.checkpoint import Checkpoint
from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import check_resolution
from enet_ros.scene.road_scene import RoadScene

MIN_AGREEMENT = 0.999   # of pixels
CONFIDENCE_SLACK = 0.01
OUTPUTS = ('labels', 'confidence')

Outputs = list[np.ndarray]


class ExportError(ValueError):
    """An export that cannot be made or did not pass its check; the message says which."""


def _write_torch_export(graph: torch.nn.Module, frames: torch.Tensor, path: Path,
                        classes: str) -> None:
    torch.export.save(torch.export.export(graph, (frames,)), path,
                      extra_files={'classes': classes})


def _run_torch_export(path: Path, frames: np.ndarray) -> Outputs:
    with torch.inference_mode():
        return _arrays(torch.export.load(path).module()(torch.from_numpy(frames)))


def _write_openvino(graph: torch.nn.Module, frames: torch.Tensor, path: Path,
                    classes: str) -> None:
    import openvino as ov

    from enet_ros.backends.openvino import to_openvino
    model = to_openvino(graph, frames)
    model.input(0).set_names({'frames'})
    for output, name in zip(model.outputs, OUTPUTS):
        output.set_names({name})
    model.set_rt_info(classes, ['enet_ros', 'classes'])
    ov.save_model(model, path, compress_to_fp16=False)


def _run_openvino(path: Path, frames: np.ndarray) -> Outputs:
    import openvino as ov
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


#: Format -> suffix, packages beyond enet_ros' own, how to write a file and how to run it.
FORMATS: dict[str, tuple[str, tuple[str, ...], Callable, Callable]] = {
    'onnx': ('.onnx', ('onnx', 'onnxscript', 'onnxruntime'), _write_onnx, _run_onnx),
    'openvino': ('.xml', ('openvino',), _write_openvino, _run_openvino),
    'torch-export': ('.pt2', (), _write_torch_export, _run_torch_export),
}


def export(checkpoint: Checkpoint, path: str | os.PathLike, file_format: str,
           resolution: tuple[int, int] = (640, 360), batch: int = 1,
           confidence: bool = False) -> float:
    """Write the frame graph, float32, and run what was written.

    Args:
        checkpoint: weights and normalisation.
        path: of the file, with the format's suffix; openvino writes a .bin beside its .xml. What
            is there already is replaced once the new file has passed.
        file_format: a key of :data:`FORMATS`.
        resolution: (width, height), multiples of 8, fixed in the file.
        batch: frames a call, fixed in the file.
        confidence: whether the winning class's probability is a second output.

    Returns:
        The share of pixels on which the file and torch agree, on drawn streets.

    Raises:
        ExportError: unknown format, wrong suffix, packages missing, or outputs that differ from
            torch's on more than 0.1 % of pixels; then nothing is kept.
        ValueError: a bad resolution, or weights that are no ENet's (CheckpointError).
    """
    path = Path(path)
    _check_request(path, file_format, batch)
    _, _, write, run = FORMATS[file_format]
    frames = drawn_frames(check_resolution(resolution), batch)
    graph = build_graph(checkpoint, confidence=confidence)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of torch's exporters, about torch
            wanted = _arrays(graph(torch.from_numpy(frames)))
            write(graph, torch.from_numpy(frames), Path(folder, path.name),
                  json.dumps(checkpoint.class_map.names))
        agreement = agreeing_share(run(Path(folder, path.name), frames), wanted)
        if agreement < MIN_AGREEMENT:
            raise ExportError(f'{path}: the exported file and torch agree on '
                              f'{100 * agreement:.2f} % of pixels, wanted '
                              f'{100 * MIN_AGREEMENT:.1f} %; the file was not kept')
        for written in Path(folder).iterdir():
            os.replace(written, path.parent / written.name)
    return agreement


def format_of(path: str | os.PathLike) -> str:
    """Return the format of a file by its suffix.

    Raises:
        ExportError: no format has it.
    """
    suffix = Path(path).suffix
    found = [name for name, (ending, *_) in FORMATS.items() if ending == suffix]
    if not found:
        wanted = ', '.join(f'{ending} ({name})' for name, (ending, *_) in FORMATS.items())
        raise ExportError(f"'{path}' ends in '{suffix}', wanted one of {wanted}")
    return found[0]


def _check_request(path: Path, file_format: str, batch: int) -> None:
    """Refuse what cannot be exported before any work is done."""
    if file_format not in FORMATS:
        raise ExportError(f"format is '{file_format}', wanted one of {', '.join(FORMATS)}")
    suffix, packages, _, _ = FORMATS[file_format]
    if path.suffix != suffix:
        raise ExportError(f"'{path}' ends in '{path.suffix}', wanted {suffix} for {file_format}")
    check_writable(path)
    if batch < 1:
        raise ExportError(f'batch is {batch}, wanted 1 or more')
    check_packages(file_format, packages)


def check_writable(path: Path) -> None:
    """Refuse a path in no folder."""
    if not path.parent.is_dir():
        raise ExportError(f"'{path.parent}' is no folder, wanted one to write {path.name} to")


def check_packages(what: str, packages: Sequence[str]) -> None:
    """Refuse what needs packages that are missing, and name them."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f'{what} needs {", ".join(missing)}: pip install {" ".join(missing)}')


def drawn_frames(resolution: tuple[int, int], count: int) -> np.ndarray:
    """Draw streets to check with, (count, height, width, 3) uint8 RGB."""
    scene = RoadScene(640, 360, seed=4)
    return np.stack([resize_frame(scene.render(float(second))[0], resolution)
                     for second in range(count)])


def agreeing_share(found: Outputs, wanted: Outputs) -> float:
    """Return the share of pixels of one label and, if given, about one confidence.

    Args:
        found: labels (N, H, W), and confidence (N, H, W) or nothing.
        wanted: likewise.

    Returns:
        0 to 1; 0 where number or shape of the outputs differ.
    """
    if [array.shape for array in found] != [array.shape for array in wanted]:
        return 0.0
    equal = found[0] == wanted[0]
    for one, other in zip(found[1:], wanted[1:]):
        equal &= np.abs(one - other) <= CONFIDENCE_SLACK
    return float(equal.mean())


def _arrays(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> Outputs:
    if isinstance(outputs, torch.Tensor):
        outputs = (outputs,)
    return [output.numpy() for output in outputs]
