"""The part of ``enet-ros doctor`` that looks at the running graph."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass, field

from enet_ros.cli.say import say


@dataclass
class GraphLook:
    """What a look at the graph found, ready to print.

    Attributes:
        code: 0, 1 or 2 for fine, warning and error.
        nodes: Names of our nodes.
        findings: A dict for each finding, as --json prints it.
        note: Why the graph was not looked at, or ''.
    """

    code: int = 0
    nodes: list[str] = field(default_factory=list)
    findings: list[dict[str, str]] = field(default_factory=list)
    note: str = ''

    def lines(self) -> list[str]:
        """Return the lines to print."""
        lines = [f'{"node":<16} {name}' for name in self.nodes]
        for finding in self.findings:
            lines.append(f'{finding["level"]:<16} {finding["text"]} ({finding["finding"]})')
            if finding['level'] != 'fine':
                lines.append(f'{"":<16} -> {finding["remedy"]}')
        if self.note:
            lines.append(f'{"graph":<16} {self.note}')
        return ['', *lines] if lines else []


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options about the running graph."""
    parser.add_argument('--node', default='', help='node to look at; default: all of enet_ros')
    parser.add_argument('--nav2', default='', metavar='FILE',
                        help='compare class names and topics with a Nav2 parameter file')
    parser.add_argument('--seconds', type=_seconds, default=3.0,
                        help='how long to listen to each node (default: 3)')
    parser.add_argument('--watch', nargs='?', type=_seconds, const=5.0, metavar='SECONDS',
                        help='look at the graph again and again, after so many seconds '
                             '(default: 5), until Ctrl-C')


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0.1 <= value <= 3600.0):
        raise argparse.ArgumentTypeError(f"'{text}' is given, wanted 0.1 to 3600 seconds")
    return value


def look(args: argparse.Namespace, *, has_ros: bool) -> GraphLook:
    """Look at the graph, unless only the machine was asked for or there is no ROS."""
    asked = bool(args.node or args.nav2 or args.watch)
    if args.gpu and not asked:
        return GraphLook()
    if not has_ros:
        return GraphLook(2 if asked else 0, note='not looked at, since ROS 2 or our messages are '
                                                 'not there: see "falls short"')
    try:
        from enet_ros.ros.graph_doctor.findings import exit_code
        from enet_ros.ros.graph_doctor.look import look_at_graph
        from enet_ros.ros.graph_doctor.machine_settings import settings_of
    except ImportError as error:  # The table of the machine is printed all the same.
        return GraphLook(2, note=f'not looked at, since {error}: see "falls short"')
    environment = dict(os.environ)
    report = look_at_graph(environment, args.node, args.nav2, args.seconds)
    note = '' if report.nodes or report.findings else (
        f'no node of enet_ros runs in domain {settings_of(environment)["ROS_DOMAIN_ID"]}')
    return GraphLook(exit_code(report.findings), report.nodes,
                     [finding.as_dict() for finding in report.findings], note)


def watch(args: argparse.Namespace) -> int:
    """Look at the graph again and again, and return the last code on Ctrl-C."""
    code = 0
    try:
        while True:
            found = look(args, has_ros=True)
            code = found.code
            if args.json:
                print(json.dumps(asdict(found)), flush=True)
            else:
                say(time.strftime('%H:%M:%S'), *found.lines(), to_stdout=True)
            time.sleep(args.watch)
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
    return code
