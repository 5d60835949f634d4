"""Every command in the documents is run by a test, or marked as not run with the reason.

A command is of one of three kinds. The check that options, arguments, topics and files of it exist
is made for all of them.

- ``# not run here: REASON`` stands in its line, or as a comment at the head of its block.
- Its normal form is in :data:`RUN_HERE`: it is run below, word by word, in a scratch folder.
- Its normal form is in :data:`RUN_ELSEWHERE`: the test that is named runs it on other inputs.
"""

import re
import subprocess

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from support.command_checks import options_problem, problem_of  # noqa: E402
from support.doc_commands import (  # noqa: E402
    REPOSITORY,
    Command,
    commands_of,
    documents,
    inline_commands_of,
)

from enet_ros.media import VideoWriter, write_image  # noqa: E402
from enet_ros.scene.road_scene import RoadScene  # noqa: E402

pytestmark = pytest.mark.ros
COMMANDS = [command for page in documents() for command in commands_of(page)]
#: Normal forms that are run here.
RUN_HERE = {'enet-ros segment', 'enet-ros policy', 'enet-ros params', 'enet-ros messages',
            'python3 -c'}
#: Normal form -> the test that runs it, and a word that this test's module says.
RUN_ELSEWHERE = {
    'enet-ros bag': ('test/recordings/test_bag.py::test_every_kind_of_recording_is_labeled',
                     'bag'),
    'enet-ros bench': ('test/bench/test_bench.py::test_every_runtime_gives_a_row_or_a_reason',
                       'bench'),
    'enet-ros calibrate': ('test/training/test_confidence_limit.py::'
                           'test_the_command_writes_the_limit_and_leaves_the_weights',
                           "'calibrate'"),
    'enet-ros compare': ('test/ros/test_own_site.py::test_the_page_has_the_commands_that_are_run',
                         'enet-ros compare'),
    'enet-ros doctor': ('test/ros/test_graph_doctor.py::'
                        'test_the_exit_code_is_that_of_the_worst_finding', 'doctor'),
    'enet-ros draw': ('test/training/test_drawn_set.py::'
                      'test_the_frames_are_a_data_set_in_the_classes_of_the_file', "'draw'"),
    'enet-ros eval': ('test/training/test_evaluate.py::'
                      'test_command_prints_a_table_and_writes_json', 'run_command'),
    'enet-ros export': ('test/export/test_export.py::test_command_exports', "'export'"),
    'enet-ros import': ('test/importers/test_import_command.py::'
                        'test_command_writes_weights_that_load', "'import'"),
    'enet-ros label-import': ('test/ros/test_own_site.py::'
                              'test_the_page_has_the_commands_that_are_run',
                              'enet-ros label-import'),
    'enet-ros soak': ('test/ros/test_soak.py::'
                      'test_a_soak_counts_every_frame_and_writes_its_figures', 'soak'),
    'enet-ros train': ('test/training/test_train.py::test_run_leaves_model_images_and_log',
                       'train'),
    'enet-ros view': ('test/ros/test_view_node.py::'
                      'test_the_page_shows_the_road_where_it_is_and_asks_only_this_machine',
                      'view'),
    'enet-ros warm': ('test/cli/test_warm.py::'
                      'test_a_parameter_file_says_what_is_compiled_and_options_come_first',
                      "'warm'"),
    'make demo': ('test/ros/test_executables.py::test_demo_on_the_drawn_street', 'demo'),
    'make soak': ('test/ros/test_soak.py::'
                  'test_a_soak_counts_every_frame_and_writes_its_figures', 'soak'),
    'make walk': ('test/ros/test_walk.py::test_a_hundred_random_steps_break_no_promise', 'walk'),
    '. scripts/ros_env.sh': ('test/test_setup.py::test_any_shell_gets_the_environment',
                             'scripts/ros_env.sh'),
    'replay_camera': ('test/ros/test_executables.py::test_the_camera_publishes_every_encoding',
                      'replay_camera'),
    'segment_node': ('test/ros/test_executables.py::'
                     'test_without_autostart_the_node_waits_unconfigured', 'segment_node'),
    'python3 slow_down.py': ('test/ros/test_slow_down.py::'
                             'test_the_program_starts_says_why_it_stands_and_ends_by_a_signal',
                             'slow_down.py')}
#: Normal form -> what CI runs.
RUN_BY_CI = {'make test': '.ci/run', 'make lint': '.ci/run', 'scripts/setup.sh': 'Makefile'}
HOW_TO_SORT = ('is in no class: add its normal form {form!r} to RUN_HERE or RUN_ELSEWHERE of this '
               "test, or write '# not run here: REASON' behind it")


def is_sorted(command: Command) -> bool:
    """Tell whether a command is of one of the kinds."""
    form = 'scripts/setup.sh' if command.words[0] == 'scripts/setup.sh' else command.form
    return bool(command.reason) or form in RUN_HERE | RUN_ELSEWHERE.keys() | RUN_BY_CI.keys()


def test_every_command_is_run_or_says_why_not():
    unsorted = [f'{command.place} {HOW_TO_SORT.format(form=command.form)}'
                for command in COMMANDS if not is_sorted(command)]
    assert not unsorted, '\n'.join(unsorted)
    assert len(COMMANDS) > 100


def test_every_command_has_options_names_and_files_that_exist():
    problems = [f'{command.place}\n    {problem}' for command in COMMANDS
                if (problem := problem_of(command.words))]
    assert not problems, '\n'.join(problems)


def test_commands_in_the_prose_exist():
    problems = []
    for page in (*documents(), REPOSITORY / 'SECURITY.md', REPOSITORY / 'CONTRIBUTING.md'):
        for text in inline_commands_of(page):
            words = tuple(text.split())
            problem = options_problem(words) if words[0] == 'enet-ros' else problem_of(words)
            if problem:
                problems.append(f'{page.name}: {text}\n    {problem}')
    assert not problems, '\n'.join(problems)


@pytest.mark.parametrize('form', RUN_ELSEWHERE)
def test_the_test_that_runs_a_command_exists(form):
    node_id, word = RUN_ELSEWHERE[form]
    if not any(command.form == form for command in COMMANDS):
        pytest.skip(f'no document shows {form}')
    path, _, function = node_id.partition('::')
    text = (REPOSITORY / path).read_text()
    assert re.search(rf'^def {function}\(', text, re.MULTILINE), node_id
    assert word in text, f'{path} does not say {word}'


def test_ci_runs_what_is_said_to_run_there():
    assert 'make test\n' in (REPOSITORY / RUN_BY_CI['make test']).read_text()
    installed = re.search(r'^test:\n\t@scripts/setup.sh (.*)$',
                          (REPOSITORY / 'Makefile').read_text(), re.MULTILINE)[1].split()
    for command in COMMANDS:
        if command.words[0] == 'scripts/setup.sh' and not command.reason:
            assert set(command.words[1:]) <= set(installed), command.place


@pytest.fixture
def scratch(tmp_path):
    """A folder with the inputs that the documents name."""
    frames = [RoadScene(320, 192).render(seconds)[0] for seconds in (1.0, 1.1)]
    for name in ('street.jpg', 'images/1.png', 'images/2.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name, frames[0])
    writer = VideoWriter(tmp_path / 'drive.mp4', 10.0)
    for frame in frames:
        writer.write(frame)
    writer.close()
    (tmp_path / 'own.yaml').write_text('/**:\n  ros__parameters:\n    rotate: 180\n')
    (tmp_path / 'trainannot').mkdir()
    write_image(tmp_path / 'trainannot' / '1.png', frames[0][..., 0])
    return tmp_path


def contents_of(path):
    """Return the bytes of each file below a folder, or of one file."""
    files = [path] if path.is_file() else path.rglob('*')
    return {file: data for file in files if file.is_file() and (data := file.read_bytes())}


#: Text of each command -> where it stands first.
HERE = {command.text: (command.page, command.line) for command in reversed(COMMANDS)
        if command.form in RUN_HERE and not command.reason}


@pytest.mark.slow
@pytest.mark.parametrize('text', HERE, ids=[f'{page}:{line}' for page, line in HERE.values()])
def test_a_cheap_command_does_what_the_page_says(scratch, text):
    page, line = HERE[text]
    before = contents_of(scratch)
    done = subprocess.run(['bash', '-c', text], cwd=scratch, capture_output=True, text=True,
                          timeout=100)
    assert done.returncode == 0, f'{page}:{line}\n{done.stdout}\n{done.stderr}'
    targets = re.findall(r'(?:--out|-o|>) ([\w./]+)', '' if 'python3' in text else text)
    for target in targets:
        assert contents_of(scratch / target), f'{page}:{line} left {target} empty'
    assert targets or contents_of(scratch) != before or done.stdout, (
        f'{page}:{line} printed and wrote nothing')


@pytest.mark.parametrize(('block', 'wanted'), [
    ('enet-ros segment a.png --out x --outt x', 'unrecognized arguments: --outt x'),
    ('enet-ros segmen a.png', 'invalid choice'),
    ('ros2 launch enet_ros segment.launch.py image:=/x', 'has no argument image'),
    ('ros2 topic hz /enet/label', 'the node has no /enet/label'),
    ('ros2 param set /enet confidence_flor 0.5', 'has no parameter confidence_flor'),
    ('segment_node --ros-args -p weight:=x', 'has no parameter weight'),
    ('ros2 lifecycle set /enet start', 'start is no transition'),
    ('make demo SOURC=drive.mp4', 'no variable SOURC'),
    ('make demos', 'no target demos'),
    ('make demo WEIGHTS=enet_rood', 'no weights enet_rood ship'),
    ('enet-ros bag a -o b --weights enet_rood', 'no weights enet_rood ship'),
    ('ros2 run enet_ros segment_node --ros-args -p weights:=enet_rood', 'no weights enet_rood'),
    ('ros2 run enet_ros segment', 'no executable segment'),
    ('scripts/setup.sh trian', 'no extra trian'),
    ('scripts/set_up.sh', 'there is no scripts/set_up.sh'),
    ('. scripts/env.sh && A=1 sudo make demos | cat', 'there is no scripts/env.sh')])
def test_a_wrong_command_is_found(tmp_path, block, wanted):
    page = tmp_path / 'page.md'
    page.write_text(f'```sh\n{block}\n```\n')
    assert wanted in problem_of(commands_of(page)[0].words)


def test_blocks_are_read_as_a_shell_reads_them(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('```sh\nA=1 enet-ros eval \\\n  --x  # why\nmake a && ray b > c  '
                    "# not run here: far\npython3 -c \"\nprint('#')\"\n```\n"
                    '```bash\n# not run here: none\nx\ny\n```\n```\n$ z\nsaid\n```\n')
    assert [(c.form, c.line, c.reason) for c in commands_of(page)] == [
        ('enet-ros eval', 2, ''), ('make a', 4, 'far'), ('ray', 4, 'far'), ('python3 -c', 5, ''),
        ('x', 10, 'none'), ('y', 11, 'none'), ('z', 14, '')]


def test_an_unsorted_command_is_told_how_to_be_sorted(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('```sh\nrclone copy a b\n```\n')
    assert not is_sorted(commands_of(page)[0])
