"""``enet-ros bag`` over many recordings: progress, and what is told at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from enet_ros.cli.say import say
from enet_ros.common.one_line_error import printable
from enet_ros.recordings.files import MANIFEST
from enet_ros.recordings.fleet import RayRunner, asked_of, run_all, run_here
from enet_ros.recordings.local_jobs import LocalRunner
from enet_ros.recordings.manifest import DONE, FAILED, Entry, Manifest
from enet_ros.recordings.segment import BagOptions


def run_many(paths: Sequence[Path], args: argparse.Namespace, options: BagOptions) -> int:
    """Label recordings into a folder; return the exit code."""
    from tqdm import tqdm
    with ExitStack() as stack:
        manifest = stack.enter_context(closing(Manifest(args.out, paths, asked_of(options))))
        if manifest.lock.remark:
            say(f'warning: {manifest.lock.remark}')
        waiting, total = len(manifest.waiting()), len(manifest.entries)
        say(f'{total} recordings, {total - waiting} done before')
        runner = run_here
        if waiting and (args.jobs or args.cluster):
            runner = stack.enter_context(_runner(args))
            say(f'runs by {runner.place}')
        bar = stack.enter_context(tqdm(
            total=total, initial=total - waiting, unit='recording', file=sys.stderr,
            mininterval=0.5 if sys.stderr.isatty() else 5.0))
        try:
            run_all(manifest, args.out, options, runner, args.retries,
                    lambda entry: _tell(entry, bar))
        except KeyboardInterrupt:
            say(f'what is done stays in {args.out}; the same command goes on from there')
            raise
    return _report(manifest, args.out)


def _runner(args: argparse.Namespace) -> LocalRunner | RayRunner:
    if not args.cluster:
        return LocalRunner(args.jobs)
    try:
        return RayRunner(args.jobs, args.cluster)
    except ImportError as error:
        from enet_ros.machine import how_to_install
        raise ValueError(f'{error}; --cluster needs Ray: {how_to_install("fleet")}') from error


def _tell(entry: Entry, bar) -> None:
    """Print one line about a recording that is done, or failed for good."""
    if entry.state == FAILED:
        text = f'failed: {entry.input}, {entry.attempts} tries: {entry.error}'
    else:
        text = f'{entry.output}: {entry.frames} frames on {entry.host}'
    bar.write(printable(text), sys.stderr)
    bar.update(1)


def _report(manifest: Manifest, out: Path) -> int:
    """Print what failed and what is mixed; return the exit code."""
    done = [entry for entry in manifest.entries if entry.state == DONE]
    failed = [entry for entry in manifest.entries if entry.state == FAILED]
    unreadable = [entry for entry in done if entry.unreadable]
    for entry in (*done, *failed):
        for line in entry.warnings:
            say(f'warning: {entry.output}: {line}')
    kinds = manifest.kinds()
    if len(kinds) > 1:
        say('warning: the machines are of several kinds, whose labels may differ:',
            *(f'  {kind}: {", ".join(names)}' for kind, names in kinds.items()),
            'give --backend and --precision, or machines of one kind, all with the same weights')
    say(f'{len(done)} recordings done, {len(failed)} failed; written to {out}, listed in '
        f'{out / MANIFEST}')
    if failed:
        say(f'enet-ros bag: {len(failed)} of {len(manifest.entries)} recordings failed:',
            *(f'  {entry.input}: {entry.error}' for entry in failed))
    return (2 if not done else 1) if failed else int(bool(unreadable))
