"""Load the stub TensorRT libraries (stubs.cpp) before the bindings look for the real ones.

TensorRT's bindings import a module of this name first; NVIDIA's own loads the real libraries.
"""

import ctypes
import sys
from pathlib import Path

for name in ('nvinfer', 'nvinfer_plugin', 'nvonnxparser'):
    library = Path(sys.prefix) / 'lib' / 'tensorrt_stubs' / f'lib{name}.so.11'
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
