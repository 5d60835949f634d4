"""One TensorRT engine: its state, and how its file becomes something that runs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enet_ros.backends.cuda import CudaRunner


class EngineState(Enum):
    """The states of an engine, in the order of its life. The diagnostics have their words."""

    WAITING = 'waiting for its turn'
    BUILDING = 'building'
    LOADED = 'loaded'    # it has a runner, which nobody has compared with torch yet
    SERVING = 'serving'  # it agrees with torch and segments the frames
    REFUSED = 'refused'  # it disagrees with torch, or fails on the test frame
    FAILED = 'failed'    # it could not be built or loaded


#: States that an engine does not leave.
FINAL_STATES = frozenset((EngineState.SERVING, EngineState.REFUSED, EngineState.FAILED))


@dataclass
class Engine:
    """One engine on its way from a request to serving.

    The thread that supplies it moves it as far as LOADED or FAILED, and the thread that segments
    from LOADED to SERVING or REFUSED. A field is written before the state that it belongs to.

    Attributes:
        confidence: Whether the engine gives the probability of the winning class as well.
        state: State of the engine.
        detail: A remark on the state, in words.
        origin: 'from the cache' or 'after it was built'.
        unloadable: Content of its file in the cache if that did not load, else None.
        load_error: Why it did not load, or '' once another one is built.
        runner: Runs the engine from LOADED on.
    """

    confidence: bool
    state: EngineState = EngineState.WAITING
    detail: str = ''
    origin: str = ''
    unloadable: bytes | None = None
    load_error: str = ''
    runner: CudaRunner | None = None

    def enter(self, state: EngineState, detail: str = '') -> None:
        """Change the state and what is said of it."""
        self.detail, self.state = detail, state

    def status(self) -> str:
        """Say in one line the state of the engine and who segments the frames meanwhile."""
        loaded = f'loaded {self.origin}'
        text = {
            EngineState.WAITING: self.state.value,
            EngineState.BUILDING: ': '.join(filter(None, (self.state.value, self.detail))),
            EngineState.LOADED: loaded,
            EngineState.SERVING: f'engine {loaded}, {self.detail}',
            EngineState.REFUSED: f'{loaded}, refused: {self.detail}',
            EngineState.FAILED: self.detail,
        }[self.state]
        if self.load_error:
            text += (f'; the engine in the cache did not load ({self.load_error}) and is kept '
                     'until another one is built')
        name = 'labels and confidence' if self.confidence else 'labels'
        meanwhile = '' if self.state is EngineState.SERVING else ' (torch serves the frames)'
        return f'{name}: {text}{meanwhile}'


def load_engine(content: bytes, folder: Path, shape: tuple[int, int, int, int]) -> CudaRunner:
    """Load an engine and record it as a CUDA graph, casts included.

    Where it cannot be recorded, the runtime's own CUDA graphs and pre-allocated outputs are
    turned on.

    Args:
        content: Bytes that ``torch_tensorrt.save`` wrote. They are code and must be our own.
        folder: Folder for a temporary file, since ``torch_tensorrt.load`` needs a path.
        shape: Shape of the frames, (N, H, W, 3).

    Returns:
        A runner that takes uint8 frames. The engine itself takes their values as float16.
    """
    import torch_tensorrt

    from enet_ros.backends.cuda import CudaRunner
    with tempfile.TemporaryDirectory(dir=folder, prefix='.load-') as private:
        path = Path(private) / 'engine.pt2'
        path.write_bytes(content)
        program = torch_tensorrt.load(str(path))
    module = program.module()
    runner = CudaRunner(lambda frames: module(frames.half()), shape)
    if runner.graph_error:
        use_fast_path(module, torch_tensorrt.runtime)
    return runner


def use_fast_path(module, runtime) -> None:
    """Turn on the runtime's own CUDA graphs and pre-allocated outputs, where it has them.

    ``enable_pre_allocated_outputs`` looks for the modules of a fresh compilation. In a loaded one
    the engines are plain attributes, which have the same switch.

    Args:
        module: An engine that was loaded.
        runtime: ``torch_tensorrt.runtime``. Its mode for CUDA graphs holds for the process.
    """
    if hasattr(runtime, 'set_cudagraphs_mode'):
        runtime.set_cudagraphs_mode(True)
    for part in module.modules():
        for value in vars(part).values():
            if hasattr(value, 'use_pre_allocated_outputs'):
                value.use_pre_allocated_outputs = True
