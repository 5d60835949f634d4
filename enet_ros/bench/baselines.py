"""Our segmenter, and the runtimes that people would use for ENet instead.

A baseline gets what favors it: the bare network with batch normalization folded, pooling in the
way that it is fastest with, a normalized float32 input that is ready, and logits as its output.
Our segmenter gets a camera's uint8 frame and gives labels of the camera's size. Resizing,
normalization and argmax are part of its time.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from enet_ros.backends.base import canonical_precision
from enet_ros.bench.timing import Call
from enet_ros.common.one_line_error import describe_error
from enet_ros.machine import how_to_install, import_openvino
from enet_ros.network.checkpoint import Checkpoint
from enet_ros.perception.resize import resize_frame
from enet_ros.perception.segmenter import Segmenter
from enet_ros.scene.frames import street_frames

ENGINE_TIMEOUT_SEC = 1500.0  # a TensorRT engine takes minutes on an Orin

#: Packages whose versions belong beside a benchmark's figures.
PACKAGES = ('numpy', 'openvino', 'onnxruntime', 'opencv-python-headless', 'torch',
            'torch-tensorrt')


class UnavailableError(RuntimeError):
    """A runtime that cannot run here. The message says why and what would help."""


@dataclass
class Workload:
    """The work that every runtime does.

    Attributes:
        checkpoint: The weights.
        resolution: (width, height) of the network, in pixels.
        camera: (width, height) of the camera's frames, in pixels.
        batch: Frames a call.
        threads: Number of CPU threads; 0 leaves it to the runtime.
    """

    checkpoint: Checkpoint
    resolution: tuple[int, int]
    camera: tuple[int, int]
    batch: int = 1
    threads: int = 0
    _folder: tempfile.TemporaryDirectory = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix='enet_ros-bench-'))

    @cached_property
    def frames(self) -> list[np.ndarray]:
        """Frames of the synthetic street: ``batch`` of (H, W, 3) uint8 RGB at ``camera``."""
        return list(street_frames(self.camera, self.batch, seed=1))

    @cached_property
    def network_input(self) -> np.ndarray:
        """The same frames, ready for the bare network: (N, 3, H, W) float32, normalized."""
        mean, std = np.float32(self.checkpoint.mean), np.float32(self.checkpoint.std)
        frames = [(resize_frame(frame, self.resolution) / np.float32(255) - mean) / std
                  for frame in self.frames]
        return np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2), np.float32)

    def network(self, unpooling: str = 'BY_SLICES'):
        """Build the bare network in eval mode, with batch normalization folded.

        Args:
            unpooling: Name of the method in :mod:`enet_ros.network.unpooling` with which the
                runtime is fastest.
        """
        from enet_ros.network import unpooling as methods
        from enet_ros.network.build import build_network
        from enet_ros.network.frame_graph import fold_batch_norm
        return methods.use_unpooling(fold_batch_norm(build_network(self.checkpoint)),
                                     getattr(methods, unpooling))

    def onnx_path(self, unpooling: str) -> str:
        """Write the bare network as an ONNX file and return the file's path."""
        import logging

        import torch
        logging.getLogger('torch.onnx').setLevel(logging.ERROR)  # it misses torchvision
        path = Path(self._folder.name, f'{unpooling}.onnx')
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.onnx.export(self.network(unpooling), (torch.from_numpy(self.network_input),),
                              dynamo=True, verbose=False, input_names=['x'],
                              external_data=False).save(path)
        return str(path)


def _segmenter(workload: Workload, precision: str) -> Call:
    if precision == 'int8' and workload.checkpoint.int8 is None:
        raise UnavailableError('the weights have no int8 graph: enet-ros export --precision int8')
    segmenter = Segmenter(workload.checkpoint, workload.resolution, 'openvino', precision,
                          workload.threads)
    return lambda: segmenter.segment(workload.frames)


def _openvino(workload: Workload, precision: str) -> Call:
    ov = import_openvino()

    from enet_ros.backends.openvino import has_bfloat16
    from enet_ros.bench.paper import openvino_call
    if precision == 'bf16' and not has_bfloat16(ov.Core()):
        raise UnavailableError('this CPU has no bfloat16 arithmetic')
    return openvino_call(workload.network(), workload.network_input, workload.threads, precision)


def _onnxruntime(workload: Workload, precision: str) -> Call:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = workload.threads, 3
    session = onnxruntime.InferenceSession(workload.onnx_path('BY_SLICES'), options,
                                           providers=['CPUExecutionProvider'])
    return lambda: session.run(None, {'x': workload.network_input})


def _opencv_dnn(workload: Workload, precision: str) -> Call:
    import cv2
    if workload.threads:
        cv2.setNumThreads(workload.threads)
    network = cv2.dnn.readNetFromONNX(workload.onnx_path('BY_SHUFFLE'))

    def call() -> np.ndarray:
        network.setInput(workload.network_input)
        return network.forward()

    return call


def _torch(workload: Workload, precision: str, *, channels_last: bool = False,
           compiled: bool = False) -> Call:
    import torch
    if workload.threads:
        torch.set_num_threads(workload.threads)
    dtype = getattr(torch, canonical_precision(precision))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = workload.network().to(dtype=dtype, memory_format=layout)
    x = torch.from_numpy(workload.network_input).to(dtype=dtype, memory_format=layout)
    run = torch.compile(network, dynamic=False) if compiled else network

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return run(x)

    return call


def _torch_channels_last(workload: Workload, precision: str) -> Call:
    return _torch(workload, precision, channels_last=True)


def _torch_compile(workload: Workload, precision: str) -> Call:
    return _torch(workload, precision, channels_last=True, compiled=True)


def _tensorrt(workload: Workload, precision: str) -> Call:
    segmenter = Segmenter(workload.checkpoint, workload.resolution, 'tensorrt', precision)
    if not segmenter.backend.wait(timeout_sec=ENGINE_TIMEOUT_SEC):
        raise UnavailableError(f'no engine: {segmenter.backend.status()}')
    return lambda: segmenter.segment(workload.frames)


@dataclass(frozen=True)
class Baseline:
    """A runtime to compare with; our segmenter is one of them.

    Attributes:
        name: First part of the names of its rows, before the precision.
        precisions: The precisions in which it is timed.
        prepare: Makes what is timed, from a workload and a precision.
        description: What it is, for the reader of the table.
    """

    name: str
    precisions: tuple[str, ...]
    prepare: Callable[[Workload, str], Call]
    description: str


BASELINES = (
    Baseline('segmenter', ('f32', 'bf16', 'int8'), _segmenter,
             'enet_ros: camera frame in, labels of its size out (OpenVINO)'),
    Baseline('openvino', ('f32', 'bf16'), _openvino, 'OpenVINO, the bare network'),
    Baseline('onnxruntime', ('f32',), _onnxruntime, 'ONNX Runtime'),
    Baseline('opencv-dnn', ('f32',), _opencv_dnn, 'OpenCV DNN'),
    Baseline('torch', ('f32', 'bf16'), _torch, 'PyTorch eager, NCHW'),
    Baseline('torch-channels-last', ('f32', 'bf16'), _torch_channels_last,
             'PyTorch eager, channels last'),
    Baseline('torch-compile', ('f32', 'bf16'), _torch_compile, 'torch.compile, channels last'),
    Baseline('tensorrt', ('f16',), _tensorrt, 'enet_ros on a GPU: Torch-TensorRT'),
)


def row_name(baseline: str, precision: str) -> str:
    """Return the name of a row, such as 'segmenter-bf16'."""
    return f'{baseline}-{precision}'


def prepare(baseline: Baseline, workload: Workload, precision: str) -> Call:
    """Build a runtime's network and run it once.

    Raises:
        UnavailableError: The runtime is not installed or does not run here.
    """
    try:
        call = baseline.prepare(workload, precision)
        call()
    except UnavailableError:
        raise
    except ImportError as error:
        raise UnavailableError(f'{error}: {how_to_install("bench")}') from error
    except (RuntimeError, ValueError, OSError) as error:
        raise UnavailableError(str(error).strip().splitlines()[0]) from error
    except Exception as error:
        if type(error).__module__.partition('.')[0] not in ('cv2', 'onnxruntime', 'torch'):
            raise
        raise UnavailableError(describe_error(error).splitlines()[0]) from error
    return call
