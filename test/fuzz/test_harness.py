"""The harness of the fuzzing sees each kind of fault, and names the case."""

import re

import pytest
from support.fuzz_memory import GuardedBuffer
from support.fuzz_run import case_of, run_in_child
from support.fuzz_targets import NAMES, target_of


@pytest.mark.parametrize(('fault', 'sentence'), [
    ('reads_too_far', 'case 7: the process ended by SIG(SEGV|BUS)'),
    ('takes_memory', 'case 7: [3-5][0-9]{2} MB, wanted at most 300 MB'),
    ('takes_time', r'case 7: \d\.\d\d s, wanted at most 0.5 s'),
    ('raises_another', 'case 7: KeyError: .*name.* at fuzz_canaries.py'),
    ('refuses_in_two_lines', 'case 7: the error is no sentence: 3 characters'),
    ('runs_a_command', 'case 7: the case made the product do os.system')])
def test_a_fault_is_found_and_named(fault, sentence):
    finds = run_in_child(f'canary:{fault}', 3, 7, 1).finds
    assert len(finds) == 1
    assert finds[0].startswith(f'canary:{fault}, seed 3, ')
    assert re.search(sentence, finds[0]), finds[0]


def test_a_reader_without_a_fault_passes():
    report = run_in_child('canary:has_none', 3, 0, 50)
    assert (report.finds, report.cases, report.accepted) == ([], 50, 50)


@pytest.mark.parametrize('size', [0, 1, 4095, 4096, 4097, 9000])
def test_a_guarded_buffer_holds_what_it_is_given(size):
    buffer = GuardedBuffer(9000)
    for fill in (b'\1', b'\2'):
        view = buffer.hold(fill * size)
        assert (bytes(view), view.readonly) == (fill * size, True)


@pytest.mark.parametrize('name', NAMES)
def test_a_case_repeats_by_its_seed_and_number(name):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    target = target_of(name)
    assert [case_of(target, 5, n) for n in range(20)] == [case_of(target, 5, n) for n in range(20)]
    assert len({case_of(target, 5, n) for n in range(20)}) > 10
