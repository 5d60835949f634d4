"""The paper's tables: that SegNet is SegNet, what is counted, how it is told; no times."""

from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch.nn import functional as F  # noqa: E402  torch may be missing

from enet_ros.bench import paper, timing  # noqa: E402
from enet_ros.bench.paper_report import (  # noqa: E402
    draw_tables,
    format_table_2,
    format_tables,
)
from enet_ros.bench.segnet import DecoderStage, EncoderStage, SegNet  # noqa: E402
from enet_ros.network.enet import ENet  # noqa: E402
from enet_ros.network.frame_graph import fold_batch_norm  # noqa: E402


@pytest.fixture(scope='module')
def segnet():
    torch.manual_seed(0)
    return SegNet(3).eval()


@pytest.fixture(scope='module')
def result():
    """Both runtimes, at one tiny size."""
    pytest.importorskip('openvino')
    return paper.paper_tables([(64, 48)], runs=1, threads=1)


def on_meta(kind, num_classes=20):
    with torch.device('meta'):
        return kind(num_classes)


def reference(network, x):
    """Run SegNet with torch's own pooling and unpooling."""
    poolings = []
    for stage in network.encoder:
        x = stage.convolutions(x)
        size = x.shape[-2:]
        x, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        poolings.append((indices, size))
    for stage in network.decoder:
        indices, size = poolings.pop()
        x = stage.convolutions(F.max_unpool2d(x, indices, 2, output_size=size))
    return network.classifier(x)


def test_parameters_are_those_of_the_paper():
    segnet, enet = on_meta(SegNet), on_meta(ENet)
    assert paper.count_parameters(segnet) == 29_454_548  # 29.46 M
    assert paper.count_parameters(enet) == 364_712
    assert round(paper.half_precision_mb(segnet), 1) == 56.2
    assert round(paper.half_precision_mb(enet), 1) == 0.7


def test_encoder_is_the_convolutions_of_vgg_16():
    shapes = [tuple(m.weight.shape[:2]) for m in on_meta(SegNet).encoder.modules()
              if isinstance(m, torch.nn.Conv2d)]
    assert shapes == [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256),
                      (256, 256), (512, 256), (512, 512), (512, 512), (512, 512), (512, 512),
                      (512, 512)]


def test_decoder_mirrors_the_encoder():
    channels = [m.weight.shape[1] for m in on_meta(SegNet).encoder.modules()
                if isinstance(m, torch.nn.Conv2d)]
    decoder = [m.weight.shape[0] for m in on_meta(SegNet).decoder.modules()
               if isinstance(m, torch.nn.Conv2d)]
    assert [*decoder, 3] == channels[::-1]  # the classifier stands for the first layer


@pytest.mark.parametrize(('height', 'width'), [(40, 24), (36, 20), (32, 32), (17, 33)])
def test_segnet_equals_torchs_pooling_when_sizes_get_odd(segnet, height, width):
    x = torch.randn(1, 3, height, width, generator=torch.manual_seed(1))
    with torch.inference_mode():
        logits = segnet(x)
        assert logits.shape == (1, 3, height, width)
        assert torch.equal(logits, reference(segnet, x))


def test_stages_pool_and_unpool_as_torch_when_all_is_tied():
    # ReLU makes whole windows of zeros, beside the zeros that pad them.
    encoder, decoder = EncoderStage(1, ()), DecoderStage(1, ())
    x = torch.tensor([[0., 0., 0.], [0., 2., 2.], [0., 1., 0.]])[None, None]
    pooled, pool_masks, size = encoder(x)
    expected, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    assert torch.equal(pooled, expected) and size == (3, 3)
    values = torch.arange(1., 5.).reshape(1, 1, 2, 2)
    assert torch.equal(decoder(values, pool_masks, size),
                       F.max_unpool2d(values, indices, 2, output_size=size))


def test_segnet_refuses_no_classes():
    with pytest.raises(ValueError, match='num_classes is 0, wanted 1 or more'):
        SegNet(0)


def test_segnet_folds_all_its_batch_normalizations(segnet):
    for module in segnet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    folded, x = fold_batch_norm(segnet), torch.randn(1, 3, 32, 32)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    with torch.inference_mode():
        assert torch.allclose(folded(x), segnet(x), atol=1e-4)


@pytest.mark.parametrize(('layer', 'places'), [
    (torch.nn.Conv2d(3, 4, 5, padding=2), 6 * 8),                       # at each output
    (torch.nn.Conv2d(3, 4, 5, padding=2, stride=2), 3 * 4),
    (torch.nn.ConvTranspose2d(3, 4, 5, stride=2), 6 * 8)])              # at each input
def test_counts_two_operations_a_multiply_add(layer, places):
    assert paper.count_flops(layer, (8, 6)) == 2 * places * 3 * 4 * 5 * 5


def test_operations_of_segnet_are_those_counted_by_hand():
    operations, height, width = 0, 360, 640
    sizes = []
    for _ in range(5):
        sizes.append(height * width)
        height, width = -(-height // 2), -(-width // 2)
    widths = [(3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512),
              (512, 512, 512, 512)]
    for size, stage in zip(sizes, widths):
        operations += sum(2 * 9 * a * b * size for a, b in zip(stage, stage[1:]))      # encoder
        operations += sum(2 * 9 * a * b * size for a, b in zip(stage, stage[1:]) if a != 3)
    operations += 2 * 9 * 64 * paper.NUM_CLASSES * sizes[0]                            # classifier
    assert paper.count_flops(on_meta(SegNet), (640, 360)) == operations


def test_table_3_is_near_the_papers():
    counted = paper.table_3()
    assert counted['SegNet']['gflops'] == pytest.approx(286.03, rel=0.005)
    assert counted['ENet']['gflops'] == 3.4545024  # 10 % below the paper's; see count_flops
    ratio = counted['SegNet']['gflops'] / counted['ENet']['gflops']
    assert ratio == pytest.approx(paper.PAPER_RATIOS['flops'], rel=0.12)
    ratio = counted['SegNet']['params'] / counted['ENet']['params']
    assert ratio == pytest.approx(paper.PAPER_RATIOS['params'], rel=0.03)


def test_paper_table_2_agrees_with_itself():
    ratios = []
    for networks in paper.PAPER_TABLE_2.values():
        for cells in networks.values():
            for ms, fps in cells.values():
                assert 1e3 / (ms + 0.5) - 0.5 < fps < 1e3 / (ms - 0.5) + 0.5
        ratios += [cell[0] / networks['ENet'][size][0]
                   for size, cell in networks['SegNet'].items()]
    assert round(max(ratios)) == paper.PAPER_RATIOS['time']


def test_paper_table_3_agrees_with_itself():
    segnet, enet = paper.PAPER_TABLE_3['SegNet'], paper.PAPER_TABLE_3['ENet']
    assert round(segnet['gflops'] / enet['gflops']) == paper.PAPER_RATIOS['flops']
    assert int(segnet['params'] / enet['params']) == paper.PAPER_RATIOS['params']
    for row in (segnet, enet):
        assert row['size_mb'] == round(2 * row['params'] / 2 ** 20, 1)


def test_result_has_the_ratios_and_both_networks(result):
    ratios = result.segnet_over_enet
    assert set(ratios) == {'time', 'time_torch', 'flops', 'params'}
    assert set(ratios['time']) == set(ratios['time_torch']) == {'64x48'}
    assert ratios['flops'] == 83.07
    assert ratios['params'] == 80.76
    assert set(result.enet) == set(result.segnet) == {'gflops', 'params', 'size_mb'}
    rows = {(row.runtime, row.network, row.resolution): row for row in result.table2}
    assert set(rows) == {(runtime, network, '64x48') for runtime in ('openvino', 'torch')
                         for network in ('SegNet', 'ENet')}
    assert all(row.runs == timing.LIMITED_ROUNDS and row.median_ms > 0 for row in rows.values())


def test_the_json_has_its_former_keys(result):
    content = asdict(result)
    assert set(content) == {'machine', 'segnet_over_enet', 'enet', 'segnet', 'num_classes',
                            'table2', 'busy'}
    assert set(content['table2'][0]) == {'runtime', 'network', 'resolution', 'median_ms', 'fps',
                                         'runs'}


def test_tables_have_the_papers_figures_beside_ours(result):
    text = format_tables(result)
    for machine, networks in paper.PAPER_TABLE_2.items():
        assert machine in text
        for cells in networks.values():
            assert all(f'{ms} / {fps}' in text for ms, fps in cells.values())
    for wanted in ('286.03', '29.46 M', '56.2 MB', '3.83', '0.37 M', '0.7 MB', '18.1x', '75x',
                   '79x', '286.96', '29.45 M', '3.45', '0.36 M', '83x', '81x', '64x48'):
        assert wanted in text
    assert max(map(len, text.splitlines())) < 120


def test_tables_leave_out_ratios_when_there_are_none(result):
    busy = result.without_time_ratios('others')
    lines = [line for line in format_table_2(busy).splitlines() if 'SegNet / ENet' in line]
    assert lines[-1].split()[3:] == lines[-2].split()[3:] == ['-'] * 5


def test_draws_a_picture(result, tmp_path):
    pytest.importorskip('matplotlib')
    draw_tables(tmp_path / 'paper.png', result)
    assert (tmp_path / 'paper.png').read_bytes().startswith(b'\x89PNG')


def test_refuses_resolutions_that_enet_cannot():
    with pytest.raises(ValueError, match='resolution is 64x50, wanted width and height in'):
        paper.measure_times([(64, 50)], ['torch'], 1, 1)


def test_rounds_alternate_and_stop_when_the_time_is_up(monkeypatch):
    taken = []
    calls = {name: lambda name=name: taken.append(name) for name in 'ab'}
    seconds = timing.alternate_within_time(calls, 6)
    assert ''.join(taken) == 'ab' + 'aabb' * 3  # one each that does not count
    assert {name: len(values) for name, values in seconds.items()} == {'a': 6, 'b': 6}
    monkeypatch.setattr(timing, 'LIMITED_ROUND_SEC', 0.0)
    assert len(timing.alternate_within_time(calls, 60)['a']) == timing.LIMITED_ROUNDS


def test_threads_of_torch_are_given_back():
    before = torch.get_num_threads()
    with paper.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize('name', ['SegNet', 'ENet'])
def test_both_runtimes_run_the_same_network(name):
    pytest.importorskip('openvino')
    torch.manual_seed(0)
    network = fold_batch_norm(paper.NETWORKS[name](3))
    x = np.random.default_rng(0).standard_normal((1, 3, 40, 24), np.float32)
    ours = paper.openvino_call(network, x, 1)()[0]
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    assert np.allclose(paper.torch_call(network, x, 1)().numpy(), expected, atol=1e-4)
    assert np.allclose(ours, expected, atol=1e-4)
