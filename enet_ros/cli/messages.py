"""``enet-ros messages``: print the reference of topics and messages."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Print the reference of the node's topics as Markdown: type, quality of service, when a message is
published, and each field with its unit. The text comes from the table of outputs that the node
itself uses, and from the definitions of the messages.

  enet-ros messages > messages.md

A test compares docs/messages.md with this output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(args: argparse.Namespace) -> int:
    """Print the page; return the exit code."""
    try:
        from enet_ros.ros.tools.message_page import page_lines
    except ModuleNotFoundError as error:
        raise ValueError(f'{error}; wanted ROS 2, which has the messages: source its setup.bash, '
                         'or scripts/ros_env.sh in the checkout') from error
    print('\n'.join(page_lines()))
    return 0
