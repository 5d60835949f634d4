"""``enet-ros view``: a running node in the browser."""

from __future__ import annotations

import argparse

from enet_ros.cli.say import say_error
from enet_ros.common.signals import stops_as_ctrl_c

DESCRIPTION = """\
Show a running node in a browser: the camera with its labels, the drivable mask, the ground from
above, latency, drops and diagnostics. The URL is printed. Only this machine can open it, unless
--bind says otherwise. Ctrl-C ends it.

  enet-ros view                                   # the node /enet
  enet-ros view --show all                        # confidence, ground and stages as well
  enet-ros view --node /robot/enet --rate 5
  enet-ros view --bind 0.0.0.0                    # for every machine of the network

It subscribes to what --show names, best effort, and the node works only for what is subscribed.
docs/view.md says what that costs, and how to look at a robot from another machine."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--node', default='/enet', metavar='NAME',
                        help='name of the node with its namespace (default: /enet)')
    parser.add_argument('--show', default='camera,labels,mask,diagnostics', metavar='NAME[,NAME]',
                        help='what to show: all, or some of camera, labels, mask, confidence, '
                             'grid, obstacles, free_space, timing, diagnostics '
                             '(default: camera,labels,mask,diagnostics)')
    parser.add_argument('--image', action='append', default=[], metavar='TOPIC',
                        help='topic of the images, once for each camera in order (default: those '
                             'to which the node subscribes)')
    parser.add_argument('--weights', default='', metavar='W',
                        help='weights that name the classes (default: those of the node)')
    parser.add_argument('--rate', type=float, default=10.0, metavar='HZ',
                        help='greatest number of frames a second that are drawn (default: 10)')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='X',
                        help='share of the class colors over the camera at the start, 0 to 1 '
                             '(default: 0.5)')
    parser.add_argument('--wait', type=float, default=120.0, metavar='SEC',
                        help='seconds to wait for the node (default: 120)')
    group = parser.add_argument_group('the server')
    group.add_argument('--bind', default='127.0.0.1', metavar='IP',
                       help='address to listen on (default: 127.0.0.1, this machine alone)')
    group.add_argument('--port', type=int, default=9090, metavar='N',
                       help='port of the page and its data; 0 is any free one (default: 9090)')
    group.add_argument('--memory', default='256MB', metavar='SIZE',
                       help='memory of the server; the oldest frames are dropped (default: 256MB)')


def run(args: argparse.Namespace) -> int:
    """Serve the page until a signal; return the exit code."""
    from enet_ros.ros.tools.view import Options, serve
    from enet_ros.ros.tools.view_target import TargetError
    from enet_ros.view.server import ServerError, checked_address
    options = Options(
        node=args.node, show=checked_show(args.show), images=tuple(args.image),
        weights=args.weights, rate_hz=within('--rate', args.rate, 0.1, 100.0),
        opacity=within('--opacity', args.opacity, 0.0, 1.0),
        wait_sec=within('--wait', args.wait, 0.0, 1e6))
    address = checked_address(args.bind, args.port, args.memory)
    try:
        with stops_as_ctrl_c():
            serve(options, address)
    except (TargetError, ServerError) as error:
        say_error('view', str(error))
        return 1
    except KeyboardInterrupt:
        return 0


def checked_show(text: str) -> tuple[str, ...]:
    """Return what to show, in the order of the page.

    Raises:
        ValueError: A name is not known.
    """
    from enet_ros.common.suggestions import suggest
    from enet_ros.view.layout import SHOWN
    names = [name.strip() for name in text.split(',')]
    unknown = [name for name in names if name not in (*SHOWN, 'all')]
    if unknown:
        raise ValueError(f"--show has '{unknown[0]}', wanted all, or some of {', '.join(SHOWN)}"
                         + suggest(unknown[0], (*SHOWN, 'all')))
    return tuple(name for name in SHOWN if name in names or 'all' in names)


def within(option: str, value: float, least: float, greatest: float) -> float:
    """Return a value that lies in a range.

    Raises:
        ValueError: It does not.
    """
    if not least <= value <= greatest:
        raise ValueError(f'{option} is {value:g}, wanted {least:g} to {greatest:g}')
    return value
