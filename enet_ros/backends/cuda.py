"""Frames through a module on a CUDA device: page-locked memory, one stream, one CUDA graph.

All backends that use a GPU run their network through :class:`CudaRunner`, so that nothing between
the host's frames and the host's labels is done twice or waits for Python.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch

from enet_ros.common.one_line_error import describe_error

DEVICE = 'cuda'
WARM_UP_RUNS = 3     # Libraries choose kernels and workspaces before a graph is recorded.
MOST_RECORDINGS = 3  # Work of another thread on the GPU can spoil a recording.

#: Held while a CUDA graph is recorded. Recording begins with a wait for the whole device, and that
#: spoils a recording that is going on in another thread (seen on an H200 with three backends).
_recording = threading.Lock()


def new_pinned(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Return page-locked memory. PyTorch keeps memory that is given back, and uses it again."""
    return torch.empty(shape, dtype=dtype, pin_memory=True)


def pinned_frames(shape: tuple[int, ...]) -> np.ndarray:
    """Return page-locked memory for frames, uint8, from which the GPU copies without a detour.

    The memory belongs to the array and returns to PyTorch's cache of such memory with it.
    """
    return new_pinned(shape, torch.uint8).numpy()


def is_pinned(frames: np.ndarray) -> bool:
    """Tell whether an array lies in page-locked memory, as :func:`pinned_frames` gives it."""
    return frames.flags.writeable and frames.flags.c_contiguous and torch.from_numpy(
        frames).is_pinned()


def cuda_is_lost() -> bool:
    """Tell whether CUDA fails for good in this process, as after an illegal memory access.

    Such an error stays with the context, and every later call returns it. Only a new process gets
    a new context. A lack of memory does not stay.
    """
    if not torch.cuda.is_initialized():
        return False
    try:
        with _recording:  # Waiting for the device would spoil a recording.
            torch.cuda.synchronize()
    except Exception:  # Its type differs between versions of PyTorch.
        return True
    return False


class CudaRunner:
    """A module of fixed input shape on the GPU, with its memory and its stream.

    The stream is not the default one, on which CUDA graphs cannot be recorded and everything else
    would wait. Used by one thread at a time.

    Attributes:
        graph_error: Why the calls are not replayed from a CUDA graph, or '' if they are.
    """

    def __init__(self, module: Callable, shape: tuple[int, int, int, int], *,
                 use_graph: bool = True):
        """Allocate, and record the module's work as a CUDA graph.

        Args:
            module: Takes frames on the GPU, and returns labels, or labels and probability. Its
                outputs are cast to uint8 and float32.
            shape: Shape of the frames, (N, H, W, 3).
            use_graph: Whether to record a CUDA graph. A module that cannot be recorded is called
                each time instead.
        """
        self._module = module
        self._stream = torch.cuda.Stream()
        self._copy_streams = torch.cuda.Stream(), torch.cuda.Stream()  # there, and back
        self._staging: torch.Tensor | None = None  # made when frames come from ordinary memory
        self._frames = torch.zeros(shape, dtype=torch.uint8, device=DEVICE)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outputs: list[torch.Tensor] = []
        self.graph_error = 'not asked for'
        if use_graph:
            self._record()

    def _record(self) -> None:
        """Record the graph, or say in ``graph_error`` why that failed."""
        for _ in range(MOST_RECORDINGS):
            try:
                with _recording:
                    self._outputs, self._graph = self._recorded()
            except Exception as error:  # whatever the module raises, it may run without a graph
                self.graph_error = describe_error(error).splitlines()[0]
            else:
                self.graph_error = ''
                return

    def _recorded(self) -> tuple[list[torch.Tensor], torch.cuda.CUDAGraph]:
        """Run the module until it is warm and record one more run."""
        self._stream.wait_stream(torch.cuda.current_stream())  # the module's weights are there
        with torch.no_grad(), torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_RUNS):
                self._compute()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on allocating and copying on the GPU meanwhile.
        with torch.no_grad(), torch.cuda.graph(graph, stream=self._stream,
                                               capture_error_mode='thread_local'):
            outputs = self._compute()
        return outputs, graph

    def _compute(self) -> list[torch.Tensor]:
        outputs = self._module(self._frames)
        outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        return [output.to(kind) for output, kind in zip(outputs, (torch.uint8, torch.float32))]

    def run_on_device(self) -> None:
        """Start the network on the frames that are on the GPU, in torch's current stream.

        For measuring: nothing is copied, and the call does not wait. The caller makes this
        runner's stream the current one.
        """
        if self._graph is not None:
            self._graph.replay()
        else:
            self._outputs = self._compute()

    @property
    def stream(self) -> torch.cuda.Stream:
        """The stream of all its work."""
        return self._stream

    def __call__(self, frames: np.ndarray) -> list[np.ndarray]:
        """Segment frames. Each call of the module takes as many as its shape says.

        Args:
            frames: (n, H, W, 3) uint8 RGB. Frames in memory of :func:`pinned_frames` are not
                copied first.

        Returns:
            Labels (n, H, W) uint8 and, if the module gives it, probability (n, H, W) float32, in
            page-locked memory that the caller owns.
        """
        host = self._on_host(frames)
        with torch.no_grad():
            if len(host) <= len(self._frames):
                results = self._run(host)
            else:
                results = self._run_in_parts(host)
        self._stream.synchronize()
        return [result.numpy() for result in results]

    def _run(self, host: torch.Tensor) -> list[torch.Tensor]:
        """Start one call of the module and the copies around it, all in one stream."""
        count = len(host)
        with torch.cuda.stream(self._stream):
            self._frames[:count].copy_(host, non_blocking=True)
            self.run_on_device()
            return [new_pinned((count, *output.shape[1:]), output.dtype).copy_(
                output[:count], non_blocking=True) for output in self._outputs]

    def _run_in_parts(self, host: torch.Tensor) -> list[torch.Tensor]:
        """Start several calls of the module, while frames are copied there and results back."""
        most = len(self._frames)
        parts = [slice(start, start + most) for start in range(0, len(host), most)]
        upload, download = self._copy_streams
        upload.wait_stream(self._stream)
        with torch.cuda.stream(upload):
            there = torch.empty(host.shape, dtype=torch.uint8, device=DEVICE)
            uploaded = []
            for part in parts:
                there[part].copy_(host[part], non_blocking=True)
                uploaded.append(upload.record_event())
        there.record_stream(self._stream)
        results: list[torch.Tensor] = []
        for part, event in zip(parts, uploaded):
            with torch.cuda.stream(self._stream):
                self._stream.wait_event(event)
                count = len(there[part])
                self._frames[:count].copy_(there[part])
                self.run_on_device()
                outputs = [output[:count].clone() for output in self._outputs]
            results = results or [new_pinned((len(host), *output.shape[1:]), output.dtype)
                                  for output in outputs]
            download.wait_stream(self._stream)
            with torch.cuda.stream(download):
                for result, output in zip(results, outputs):
                    result[part].copy_(output, non_blocking=True)
                    output.record_stream(download)
        self._stream.wait_stream(download)
        return results

    def _on_host(self, frames: np.ndarray) -> torch.Tensor:
        """Return frames in page-locked memory, copied if they are not there."""
        if is_pinned(frames):
            return torch.from_numpy(frames)
        if self._staging is None or len(self._staging) < len(frames):
            self._staging = new_pinned((len(frames), *self._frames.shape[1:]), torch.uint8)
        self._staging.numpy()[:len(frames)] = frames
        return self._staging[:len(frames)]
