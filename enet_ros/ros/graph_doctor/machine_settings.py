"""Settings of the middleware on this machine: domain, discovery and shared memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from enet_ros.ros.graph_doctor.findings import Finding, Kind
from enet_ros.ros.shared_memory import find_leftovers

LEAST_SHARED_MB = 64  # Docker's default, in which a few large images do not fit
LAST_DOMAIN = 232     # the last one whose ports exist
#: Domains whose ports Linux hands out to any program by default (ROS 2, "About Domain ID").
SHARED_DOMAINS = range(102, 215)
DEFAULTS = {'ROS_DOMAIN_ID': '0', 'RMW_IMPLEMENTATION': '', 'ROS_LOCALHOST_ONLY': '0',
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what decides whether two processes find each other."""
    return {name: environment.get(name) or default for name, default in DEFAULTS.items()}


def local_nodes(proc: Path = Path('/proc')) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield process id and settings of every segment_node on this machine that may be read."""
    for folder in proc.glob('[0-9]*'):
        try:
            command = (folder / 'cmdline').read_bytes().split(b'\0')
            if not any(part.endswith(b'/segment_node') for part in command[:3]):
                continue
            pairs = (folder / 'environ').read_bytes().decode(errors='replace').split('\0')
        except OSError:  # It has ended, or belongs to somebody else.
            continue
        environment = dict(pair.split('=', 1) for pair in pairs if '=' in pair)
        yield int(folder.name), settings_of(environment)


def process_findings(nodes: Iterator[tuple[int, dict[str, str]]], own: dict[str, str], *,
                     is_error: bool = True) -> list[Finding]:
    """Compare the settings of nodes on this machine with ours.

    Args:
        nodes: Process id and settings of each node.
        own: Settings of this shell.
        is_error: Whether a difference is the error, since no node was found in our domain.
    """
    kind = Kind.DOMAIN if is_error else Kind.OTHER_DOMAIN
    return [Finding(kind, f"segment_node (process {pid}) runs with {name}='{value}', and "
                                 f"this shell has '{own[name]}'")
            for pid, settings in nodes for name, value in settings.items() if value != own[name]]


def environment_findings(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Judge the variables of this shell."""
    findings, own = [], settings_of(environment)
    domain = own['ROS_DOMAIN_ID']
    if not (domain.isascii() and domain.isdigit() and int(domain) <= LAST_DOMAIN):
        findings.append(Finding(Kind.DOMAIN_ID, f"ROS_DOMAIN_ID is '{domain}', wanted a whole "
                                                f'number from 0 to {LAST_DOMAIN}'))
    elif int(domain) in SHARED_DOMAINS:
        findings.append(Finding(Kind.DOMAIN_PORTS, f'ROS_DOMAIN_ID is {domain}'))
    reach = own['ROS_AUTOMATIC_DISCOVERY_RANGE'].upper()
    if own['ROS_LOCALHOST_ONLY'] == '1':
        findings.append(Finding(Kind.LOCAL_ONLY, 'ROS_LOCALHOST_ONLY is 1'))
    elif reach in ('LOCALHOST', 'OFF'):
        findings.append(Finding(Kind.LOCAL_ONLY, f'ROS_AUTOMATIC_DISCOVERY_RANGE is {reach}'))
    return findings


def shared_memory_findings(folder: Path = Path('/dev/shm')) -> list[Finding]:
    """Judge the shared memory, by which images travel between processes of one machine."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return [Finding(Kind.SHARED_MEMORY, f'{folder} is absent or cannot be written')]
    findings, status = [], os.statvfs(folder)
    free_mb = status.f_bavail * status.f_frsize >> 20
    if free_mb < LEAST_SHARED_MB:
        findings.append(Finding(Kind.SHARED_MEMORY, f'{folder} has {free_mb} MiB free, wanted '
                                                    f'{LEAST_SHARED_MB} or more'))
    leftovers = find_leftovers(folder)
    if leftovers.bytes:
        findings.append(Finding(Kind.LEFTOVERS, f'killed processes left {leftovers} in {folder}'))
    return findings
