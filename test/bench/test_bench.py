"""The benchmark's arithmetic, its refusals and its rows; no time is judged here."""

import inspect
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('psutil', reason='psutil is not installed: scripts/setup.sh bench')

import psutil

from enet_ros.bench import background_load, baselines, comparison, scaling
from enet_ros.bench.background_load import BackgroundLoad
from enet_ros.bench.baselines import BASELINES, Baseline, UnavailableError, Workload, prepare
from enet_ros.bench.comparison import Comparison, compare, ratios
from enet_ros.bench.node_report import NodeFigures, NodeReport, draw_node
from enet_ros.bench.report import draw_comparisons, format_comparison, format_scaling
from enet_ros.bench.roofline import Roofline, matrix_product_gflops
from enet_ros.bench.scaling import measure_scaling, scaling_of
from enet_ros.bench.timing import RUNS_PER_ROUND, alternate, round_medians, rounds_of, summary
from enet_ros.cli.main import main
from enet_ros.machine import describe_machine
from enet_ros.network.checkpoint import read_checkpoint, weights_path

SMALL = (64, 48)


@pytest.fixture
def workload():
    return Workload(read_checkpoint(weights_path('')), SMALL, (80, 50))


@pytest.fixture
def quiet(monkeypatch):
    """Let the machine seem left alone: tests run beside anything."""
    monkeypatch.setattr(BackgroundLoad, 'is_high', lambda self: False)


def comparison_of(rows, resolution=SMALL, **changes):
    """Return a comparison with made-up rows."""
    values = {'machine': describe_machine(), 'resolution': list(resolution),
              'camera': list(resolution), 'batch': 1, 'threads': 0, 'runs': 1, 'runtimes': rows,
              'busy': '', 'ratios': {}, 'limit': Roofline({}, 0.0, {})}
    return Comparison(**{**values, **changes})


def rows(**medians):
    return {name.replace('_', '-'): {'median_ms': value, 'p95_ms': value}
            for name, value in medians.items()}


def test_rounds_alternate_and_their_first_run_does_not_count():
    log = []
    calls = {'a': lambda: log.append('a'), 'b': lambda: log.append('b')}
    seconds = alternate(calls, 7, pause_sec=0.0)
    assert {name: len(values) for name, values in seconds.items()} == {'a': 7, 'b': 7}
    first, rest = RUNS_PER_ROUND + 1, 7 - RUNS_PER_ROUND + 1
    assert ''.join(log) == 'a' * first + 'b' * first + 'b' * rest + 'a' * rest
    assert rounds_of(7) == 2 and rounds_of(5) == 1


def test_summary_is_median_and_95th_percentile_in_ms():
    assert summary(np.arange(1, 102) / 1e3) == {'median_ms': 51.0, 'p95_ms': 96.0}


def test_ratios_compare_equal_precisions_and_then_bfloat16():
    found = ratios(rows(
        segmenter_f32=30.0, segmenter_bf16=20.0, openvino_f32=40.0, openvino_bf16=25.0,
        onnxruntime_f32=60.0, opencv_dnn_f32=90.0, torch_channels_last_f32=45.0,
        torch_channels_last_bf16=50.0))
    assert found == {
        'segmenter_over_openvino_raw': 0.75, 'onnxruntime_over_segmenter': 2.0,
        'opencv_dnn_over_segmenter': 3.0, 'torch_channels_last_over_segmenter': 1.5,
        'segmenter_over_openvino_raw_bf16': 0.8, 'onnxruntime_over_segmenter_bf16': 3.0,
        'opencv_dnn_over_segmenter_bf16': 4.5,
        'torch_channels_last_over_segmenter_bf16': 2.25,
        'torch_channels_last_bf16_over_segmenter_bf16': 2.5}


def test_ratios_of_rounds_do_not_change_when_the_machine_is_slower_for_a_while():
    slow = np.repeat([1.0, 1.0, 3.0], RUNS_PER_ROUND)
    seconds = {'segmenter-f32': 0.02 * slow, 'openvino-f32': 0.025 * slow}
    measured = {name: summary(values) for name, values in seconds.items()}
    assert ratios(measured, round_medians(seconds)) == {'segmenter_over_openvino_raw': 0.8}
    assert [len(one) for one in round_medians({'a': np.ones(7)}).values()] == [2]


def test_ratios_leave_out_what_was_not_measured():
    found = ratios({**rows(segmenter_f32=30.0, openvino_f32=40.0),
                    'onnxruntime-f32': {'missing': 'not installed'}})
    assert found == {'segmenter_over_openvino_raw': 0.75}


def test_growth_is_time_over_pixels_from_640x360():
    results = [comparison_of(rows(segmenter_f32=ms), size)
               for size, ms in (((320, 180), 10.0), ((640, 360), 30.0), ((1280, 720), 132.0))]
    results[2].runtimes['torch-f32'] = {'missing': 'too large'}
    assert scaling_of(results) == {'segmenter-f32': {'320x180': 1.333, '1280x720': 1.1}}
    assert '1280x720' in format_scaling(scaling_of(results))
    assert scaling_of(results[:1]) == {} and format_scaling({}) == ''


def test_growth_in_rounds_is_not_changed_by_a_machine_that_slows_down(workload, quiet,
                                                                      monkeypatch):
    rounds = ((0.2, 0.4, 0.9), (0.1, 0.2, 0.1), (0.02, 0.04, 0.06))  # seconds, a size each
    monkeypatch.setattr(scaling, 'prepare', lambda baseline, workload, precision: None)
    monkeypatch.setattr(scaling, 'alternate', lambda calls, runs, on_round: {
        size: np.repeat(seconds, RUNS_PER_ROUND) for size, seconds in zip(calls, rounds)})
    sizes = ((1280, 720), (640, 360), (320, 180))
    found, busy = measure_scaling([replace(workload, resolution=size) for size in sizes], 15)
    assert busy == ''
    assert found['segmenter-f32'] == found['segmenter-bf16'] == {'1280x720': 0.5, '320x180': 0.8}


def test_our_own_work_is_not_other_load_and_a_child_is_ours():
    load = BackgroundLoad()
    child = subprocess.run([sys.executable, '-c', 'sum(range(4 * 10**7))'], check=True)
    sum(range(2 * 10**7))  # enough for the fastest machine seen
    own = load._own_sec() - load._own
    assert child.returncode == 0 and own > 0.1


def test_cores_are_found_by_name_where_one_is_offline(monkeypatch):
    stat = {'/proc/stat': 'cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 0 0 50 9 0 0 0 0 0\n'
                          'cpu2 100 20 3 50 9 0 4 5 90 1\ncpu3 8 0 0 50 9 0 0 0 0 0\nintr 5 1\n'}
    monkeypatch.setattr(background_load, 'read_text', stat.get)
    monkeypatch.setattr(background_load, 'available_cores', lambda: (2, 3))
    assert background_load._busy_sec() == 140 / os.sysconf('SC_CLK_TCK')


@pytest.mark.alone
def test_another_process_is_other_load():
    code = 'import time\nend = time.monotonic() + 30\nwhile time.monotonic() < end: pass'
    # A grandchild whose parent has ended belongs to nobody here.
    start = ('import subprocess, sys; print(subprocess.Popen('
             f'[sys.executable, "-c", {code!r}], stdout=subprocess.DEVNULL).pid)')
    parent = subprocess.run([sys.executable, '-c', start], stdout=subprocess.PIPE, text=True,
                            check=True)
    stranger = psutil.Process(int(parent.stdout))
    try:
        load = BackgroundLoad()
        time.sleep(1.0)
        assert load.cores() > 0.2 and load.is_high()
        assert f'({stranger.pid})' in load.sentence()
    finally:
        stranger.kill()


def test_a_process_that_changes_its_name_counts_since_the_start_only(monkeypatch):
    def seen(name, user):
        info = {'pid': 7, 'name': name, 'create_time': 1.0,
                'cpu_times': SimpleNamespace(user=user, system=0.0)}
        monkeypatch.setattr(psutil, 'process_iter', lambda fields: [SimpleNamespace(info=info)])

    seen('kworker/0:1', 900.0)
    load = BackgroundLoad()
    seen('kworker/0:1-events', 900.0)
    assert load.culprits() == []
    seen('kworker/0:1-events', 930.0)
    assert [text.split(',')[0] for text in load.culprits()] == ['kworker/0:1-events (7)']


def test_every_runtime_gives_a_row_or_a_reason(workload, quiet, monkeypatch):
    def broken(workload, precision):
        raise ImportError("No module named 'none'")

    chosen = [one for one in BASELINES if one.name not in ('torch-compile', 'tensorrt')]
    monkeypatch.setattr(comparison, 'BASELINES',
                        (*chosen, Baseline('none', ('f32',), broken, 'absent')))
    result = compare(workload, 2)
    assert result.runtimes['none-f32'] == {
        'missing': "No module named 'none': in the checkout run scripts/setup.sh bench, for "
                   "another environment pip install '.[bench]'"}
    assert {'median_ms', 'p95_ms'} == set(result.runtimes['segmenter-f32'])
    assert result.ratios['segmenter_over_openvino_raw'] > 0
    assert (result.resolution, result.camera) == ([64, 48], [80, 50])
    assert json.loads(json.dumps(asdict(result))) == asdict(result)
    assert result.machine.cores >= 1
    limit = result.limit
    assert limit.share['segmenter-f32'] == pytest.approx(
        limit.network_gflop / result.runtimes['segmenter-f32']['median_ms'] * 1e3
        / limit.matrix_product_gflops['f32'], abs=1e-3)
    assert result.runtimes['segmenter-int8']['missing'].startswith('the weights have no int8')


def test_baselines_compute_what_the_segmenter_computes(workload):
    labels = workload.network_input.shape[0], *SMALL[::-1]
    wanted = np.asarray(prepare(BASELINES[1], workload, 'f32')()[0]).argmax(1)
    assert wanted.shape == labels
    for baseline in BASELINES[2:5]:
        try:
            logits = prepare(baseline, workload, 'f32')()
        except UnavailableError as error:
            pytest.skip(str(error))
        logits = np.asarray(logits[0] if isinstance(logits, list) else logits)
        assert np.mean(logits.argmax(1) == wanted) > 0.99, baseline.name


def test_a_runtime_that_fails_says_so_in_its_row(workload):
    def refuse(workload, precision):
        raise ValueError('no such precision\nand more')

    with pytest.raises(UnavailableError, match='^no such precision$'):
        prepare(Baseline('x', ('f32',), refuse, ''), workload, 'f32')


def test_a_busy_machine_gets_no_ratios(workload, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(BackgroundLoad, 'cores', lambda self: 1.5)
    monkeypatch.setattr(BackgroundLoad, 'culprits',
                        lambda self, most=3: ['make (7), 90 % of a core'])
    file = tmp_path / 'bench.json'
    assert main(['bench', '--resolution', '64x48', '--runs', '1', '--only', 'segmenter,openvino',
                 '--json', str(file)]) == 1
    result, text = json.loads(file.read_text()), capsys.readouterr().out
    assert result['ratios'] == {} and 'median_ms' in result['runtimes']['segmenter-f32']
    assert 'no ratios: other processes kept 1.50 of' in text and 'make (7)' in text


@pytest.mark.parametrize(('options', 'said'), [
    (['--rate', '5'], '--rate changes nothing without --node and --paper, wanted it with --node'),
    (['--precision', 'int8'], '--precision changes nothing without --node'),
    (['--node', '--only', 'segmenter'], '--only changes nothing with --node, wanted it without'),
    (['--paper', '--weights', 'x'], '--weights changes nothing with --paper, wanted it'),
    (['--node', '--resolution', '64x48,96x64'], '--resolution names several sizes, wanted one')])
def test_an_option_of_another_kind_of_measurement_is_refused(capsys, options, said):
    assert main(['bench', *options]) == 2
    assert said in capsys.readouterr().err


def test_several_resolutions_give_growth_and_a_picture(quiet, tmp_path, capsys):
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    file = tmp_path / 'bench.json'
    assert main(['bench', '--resolution', '64x48,96x64', '--runs', '1', '--only', 'segmenter',
                 '--json', str(file)]) == 0
    result = json.loads(file.read_text())
    assert [one['resolution'] for one in result['results']] == [[64, 48], [96, 64]]
    assert list(result['growth']['segmenter-f32']) == ['96x64'] and result['busy'] == ''
    assert (tmp_path / 'bench.png').read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('quiet_runs', [0, 1, 2])
def test_a_busy_machine_gets_no_growth(monkeypatch, tmp_path, capsys, quiet_runs):
    """Busy from one of the two results on, or while growth itself is measured."""
    loads = []
    monkeypatch.setattr(BackgroundLoad, 'is_high',
                        lambda self: loads.append(self) or len(loads) > quiet_runs)
    monkeypatch.setattr(BackgroundLoad, 'sentence', lambda self: 'others kept 1.50 cores busy')
    file = tmp_path / 'bench.json'
    assert main(['bench', '--resolution', '64x48,96x64', '--runs', '1', '--only', 'segmenter',
                 '--json', str(file)]) == 1
    result, text = json.loads(file.read_text()), capsys.readouterr().out
    assert len(loads) == max(2, quiet_runs + 1)
    assert result['growth'] == {} and result['busy'] == 'others kept 1.50 cores busy'
    assert [bool(one['busy']) for one in result['results']] == [quiet_runs < 1, quiet_runs < 2]
    assert text.endswith('no growth: others kept 1.50 cores busy. Leave the machine alone and '
                         'repeat.\n')
    assert 'growth of time' not in text


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--only', 'tpu'], "--only has 'tpu', wanted some of segmenter, openvino"),
    (['--only', 'openvin'], "; did you mean 'openvino'?"),
    (['--resolution', '65x48'], 'resolution is 65x48, wanted'),
    (['--runs', '0'], '--runs is 0, wanted 1 or more'),
    (['--weights', 'nowhere'], "weights 'nowhere' not found"),
])
def test_refuses_options(arguments, message, capsys):
    assert main(['bench', *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_batch_is_a_batch(quiet):
    workload = Workload(read_checkpoint(weights_path('')), SMALL, SMALL, batch=2)
    assert workload.network_input.shape == (2, 3, 48, 64)
    assert len(prepare(BASELINES[0], workload, 'f32')()) == 2


def test_the_report_shows_missing_rows(tmp_path):
    result = comparison_of(
        {**rows(segmenter_f32=1.0), 'tensorrt-f16': {'missing': 'no GPU'}},
        ratios={'a_over_b': 1.5}, limit=Roofline({'f32': 200.0}, 3.45, {'segmenter-f32': 0.55}))
    text = format_comparison(result)
    assert '3.45 GFLOP a call, 55 % of the 200 GFLOP/s' in text
    assert 'no GPU' in text and 'a_over_b' in text and '1.50' in text
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    draw_comparisons(tmp_path / 'plot.png', [result])


def test_a_matrix_product_is_measured():
    assert matrix_product_gflops('f32', size=128, runs=2) > 0.1


def test_a_missing_precision_is_a_row(workload, quiet):
    result = compare(workload, 1, ['tensorrt'])
    assert list(result.runtimes) == ['tensorrt-f16']
    assert BASELINES[-1].name == 'tensorrt'


@pytest.mark.parametrize('built', [True, False])
def test_tensorrt_waits_for_its_engine_up_to_a_time_limit(workload, monkeypatch, built):
    waited = []

    def wait(*arguments, **options):
        waited.append((arguments, options))
        return built

    backend = SimpleNamespace(wait=wait, status=lambda: 'the build failed')
    monkeypatch.setattr(baselines, 'Segmenter', lambda *_: SimpleNamespace(
        backend=backend, segment=lambda frames: frames))
    if built:
        assert len(prepare(BASELINES[-1], workload, 'f16')()) == 1
    else:
        with pytest.raises(UnavailableError, match='no engine: the build failed'):
            prepare(BASELINES[-1], workload, 'f16')
    assert waited == [((), {'timeout_sec': baselines.ENGINE_TIMEOUT_SEC})]


def test_the_wait_for_tensorrt_is_one_that_the_backend_has():
    from enet_ros.backends.tensorrt.backend import TensorRtBackend
    parameters = inspect.signature(TensorRtBackend.wait).parameters
    assert 'timeout_sec' in parameters


FIGURES = NodeFigures(
    fps=15.0, fps_each=[15.0], latency_ms={'p50': 23.0}, segmenter_ms=19.5, overhead_ratio=1.2,
    published_share=1.0, published_share_beside_cameras=1.0, dropped=0,
    stages_ms={'age_at_receive': 1.5, 'wait': 0.2, 'preprocess': 0.3, 'inference': 20.0,
               'postprocess': 0.2, 'publish': 0.3},
    cpu_percent=50.0, rss_mb=300.0, rss_growth_mb=0.0, start_sec=1.5)


@pytest.fixture
def node_report():
    return NodeReport(describe_machine(), 'openvino', 'bfloat16', [640, 360], [640, 360], 1, 15.0,
                      FIGURES)


def test_the_node_is_drawn_by_stages(tmp_path, node_report):
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    draw_node(tmp_path / 'node.png', node_report)
    assert (tmp_path / 'node.png').read_bytes()[:4] == b'\x89PNG'


def test_the_json_of_the_node_has_its_figures_on_the_top_level(node_report):
    assert list(node_report.as_json()) == [
        'machine', 'backend', 'precision', 'resolution', 'camera', 'cameras', 'rate_hz', 'fps',
        'fps_each', 'latency_ms', 'segmenter_ms', 'overhead_ratio', 'published_share',
        'published_share_beside_cameras', 'dropped', 'stages_ms', 'cpu_percent', 'rss_mb',
        'rss_growth_mb', 'start_sec', 'busy']


def test_the_json_of_a_comparison_has_its_former_keys():
    content = asdict(comparison_of(rows(segmenter_f32=1.0)))
    assert set(content) == {'machine', 'resolution', 'camera', 'batch', 'threads', 'runs',
                            'runtimes', 'busy', 'ratios', 'limit'}
    assert set(content['limit']) == {'matrix_product_gflops', 'network_gflop', 'share'}
    assert set(content['machine']) == {'processor', 'cores', 'features', 'memory_gib',
                                       'cuda_devices', 'system', 'python', 'packages'}
