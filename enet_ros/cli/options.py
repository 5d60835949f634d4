"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

WEIGHTS_HELP = ('weights to use: a .safetensors file, or the name of one that ships '
                '(default: enet_camvid)')
#: Parameters of the node's network, which are options of commands that work as the node does.
NETWORK = ('weights', 'resolution', 'backend', 'precision', 'threads')
# These repeat the table of parameters, since a command shows its help without importing NumPy.
BACKENDS = 'auto, openvino, tensorrt, torch or triton'
PRECISIONS = 'auto, float32, bfloat16, float16 or int8'
MAX_THREADS = 256


def resolution(text: str) -> tuple[int, int]:
    """Parse WxH into (width, height)."""
    try:
        width, height = (int(part) for part in text.lower().split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no resolution, wanted WxH, "
                                         'such as 640x360') from None
    return width, height


def png(text: str) -> Path:
    """Parse the path of an image to draw, which ends in .png."""
    if Path(text).suffix.lower() != '.png':
        raise argparse.ArgumentTypeError(f"'{text}' is no file to draw, wanted a name that ends "
                                         'in .png')
    return Path(text)


def threads(text: str) -> int:
    """Parse a number of CPU threads; 0 leaves it to the backend."""
    if not text.isdecimal() or int(text) > MAX_THREADS:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of threads, wanted 0 to "
                                         f'{MAX_THREADS}')
    return int(text)


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add --force to a command that writes files."""
    parser.add_argument('--force', action='store_true',
                        help='replace files that exist already; without it they stop the command')


def add_network_options(parser: argparse.ArgumentParser,
                        default_resolution: tuple[int, int] | None, *,
                        as_node: bool = False) -> None:
    """Add an option for each of :data:`NETWORK`.

    Args:
        parser: The parser of the command.
        default_resolution: (width, height) of the network, or None for the resolution at which
            the weights were trained.
        as_node: Whether an option that is not given is None, for the value of the node.
    """
    default = ('x'.join(map(str, default_resolution)) if default_resolution
               else 'the one at which the weights were trained')
    parser.add_argument('--weights', default='', metavar='W', help=WEIGHTS_HELP)
    parser.add_argument('--backend', default='auto', metavar='B',
                        help=f'runtime of the network: {BACKENDS} '
                             '(default: the fastest that works)')
    parser.add_argument('--precision', default='auto', metavar='P',
                        help=f'{PRECISIONS} (default: the fastest)')
    parser.add_argument('--resolution', type=resolution, default=default_resolution,
                        metavar='WxH', help='resolution of the network, multiples of 8 '
                                            f'(default: {default})')
    parser.add_argument('--threads', type=threads, default=0, metavar='N',
                        help='number of CPU threads of each network (default: chosen for the '
                             'machine)')
    if as_node:
        parser.set_defaults(**dict.fromkeys(NETWORK))


def given_network(args: argparse.Namespace) -> dict[str, object]:
    """Return the parameters of the network that are given as options."""
    return {name: getattr(args, name) for name in NETWORK if getattr(args, name) is not None}
