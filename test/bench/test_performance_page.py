"""A figure of the speed that stands in several documents is the same in all of them."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def read(page):
    return (REPOSITORY / page).read_text()


def medians():
    """Return the medians of the segmenter by precision, as the table of all runtimes has them."""
    return dict(re.findall(r'^\| enet_ros, camera frame to labels \| (\w+) \| ([\d.]+) \|',
                           read('docs/performance.md'), re.MULTILINE))


def test_the_summary_has_the_medians_of_the_table():
    row = next(line for line in read('docs/performance.md').splitlines()
               if line.startswith('| How long does the network take'))
    assert re.findall(r'([\d.]+) ms', row) == [medians()[name] for name in ('f32', 'bf16', 'int8')]


def test_the_readme_has_the_medians_of_the_table():
    row = next(line for line in read('README.md').splitlines()
               if line.startswith('| from uint8 frame to labels'))
    assert re.findall(r'([\d.]+) ms', row) == [medians()[name] for name in ('bf16', 'f32')]
