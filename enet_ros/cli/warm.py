"""``enet-ros warm``: compile the node's network beforehand."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from enet_ros.cli.options import NETWORK, add_network_options, given_network

if TYPE_CHECKING:
    from enet_ros.perception.segmenter import Segmenter

DESCRIPTION = """\
Compile the network of segment_node into the cache, so that its next start takes a moment.

  enet-ros warm                                  # the defaults of the node
  enet-ros warm --params own.yaml                # what a parameter file says
  enet-ros warm --weights own.safetensors --resolution 480x272

Run it as the user of the node, on its machine, after each change of weights, resolution,
precision or backend, and after each upgrade of OpenVINO or TensorRT. What is there already is
kept. One network serves any number of cameras. The exit code is 0 if the next start needs no
compiling."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options. An option that is not given takes the node's value."""
    parser.add_argument('--params', type=Path, metavar='FILE',
                        help='parameter file of the node, from which the values below are taken')
    parser.add_argument('--node', default='/enet', metavar='NAME',
                        help='full name of the node in that file (default: /enet)')
    add_network_options(parser, (640, 360), as_node=True)


def run(args: argparse.Namespace) -> int:
    """Compile what is not there yet; return the exit code."""
    from enet_ros.backends.cache import cache_folder, cache_problem
    values = _values(args)
    if problem := cache_problem():
        raise ValueError(problem)
    started_sec = time.monotonic()
    segmenter = _open(values)
    print(segmenter.choice)
    if segmenter.backend.from_cache is None:
        return _finish_engines(segmenter)
    if segmenter.backend.from_cache:
        print(f'in the cache already: {cache_folder()}')
        return 0
    seconds, started_sec = time.monotonic() - started_sec, time.monotonic()
    is_kept = _open(values).backend.from_cache
    if not is_kept:
        print(f'error: compiled in {seconds:.1f} s, but {cache_folder()} did not keep it; is the '
              'disk full?', file=sys.stderr)
        return 1
    print(f'compiled in {seconds:.1f} s into {cache_folder()}; a start now loads it in '
          f'{time.monotonic() - started_sec:.1f} s')
    return 0


def _values(args: argparse.Namespace) -> dict[str, object]:
    """Return the parameters of the network: options before the file, before defaults."""
    from enet_ros.perception.parameters.files import values_of_node
    from enet_ros.perception.parameters.names import checked_values
    from enet_ros.perception.parameters.settings import BY_NAME, make_settings
    values = values_of_node(args.params, args.node) if args.params else {}
    values |= given_network(args)
    cameras = BY_NAME['cameras'].checked(values.get('cameras', ['']))
    checked = checked_values(values, cameras)
    settings = make_settings({name: checked[name] for name in BY_NAME if name in checked})
    return {name: getattr(settings, name) for name in NETWORK}


def _open(values: dict[str, object]) -> Segmenter:
    """Open the network as the node does."""
    from enet_ros.perception.segmenter import Segmenter
    segmenter = Segmenter.from_file(**values)
    segmenter.warm_up()
    return segmenter


def _finish_engines(segmenter: Segmenter) -> int:
    """Wait for engines that are built in the background, if the backend builds any."""
    backend = segmenter.backend
    if not backend.status():
        print(f'nothing to keep: {backend.name} builds its network at every start')
        return 0
    print('the engines are loaded or built, which takes minutes on a small GPU', flush=True)
    are_serving = [backend.wait(confidence=confidence) for confidence in (False, True)]
    print(backend.status())
    return 0 if all(are_serving) else 1
