"""Progress, the average of weights, its statistics, and what a run says about its speed."""

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('pytorch_lightning', reason='training needs pytorch-lightning')

from enet_ros.network.enet import ENet  # noqa: E402
from enet_ros.training.averaging import refresh_batch_norm, update_average  # noqa: E402
from enet_ros.training.batches import Normalization  # noqa: E402
from enet_ros.training.callbacks import Stopwatch, throughput_text  # noqa: E402
from enet_ros.training.recipes import Progress  # noqa: E402


def test_progress_by_steps_and_by_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    progress = Progress(steps=10)
    assert progress.fraction(5) == 0.5
    assert not progress.time_is_up()
    progress = Progress(hours=1.0, elapsed_sec=900)
    progress.start()
    now[0] += 900
    assert progress.fraction(12345) == 0.5
    now[0] += 1800
    assert progress.fraction(0) == 1.0
    assert progress.time_is_up()


def test_refreshed_statistics_are_those_of_the_frames():
    torch.manual_seed(0)
    network = ENet(2)
    frames = torch.randint(0, 256, (4, 3, 32, 48), dtype=torch.uint8)
    network.norm.running_mean.fill_(1e6)
    refresh_batch_norm(network, Normalization(), [frames[:2], frames[2:]])
    seen = []
    network.norm.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    network(Normalization()(frames))
    assert torch.allclose(network.norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4)
    assert not network.training
    assert network.norm.momentum == 0.1


def test_the_fused_average_is_that_of_each_weight():
    torch.manual_seed(0)
    average, network = ENet(2), ENet(2)
    wanted = [a.detach().lerp(b, 1 - 0.9)
              for a, b in zip(average.parameters(), network.parameters())]
    update_average(average, network, 0.9)
    for tensor, by_hand in zip(average.parameters(), wanted):
        assert torch.equal(tensor, by_hand)


def test_throughput_says_what_waits_for_what():
    assert throughput_text(500, 800, 6.0, 4.0) == (
        'step 500: 80.0 samples a second; the network waits for data 40 % of the time '
        '(--workers loads in more processes)')
    assert throughput_text(10, 800, 9.9, 0.1) == (
        'step 10: 80.0 samples a second; the data waits for the network, which waits 1 % of the '
        'time')


def test_stopwatch_adds_intervals_and_starts_again(monkeypatch):
    now = [1.0]
    monkeypatch.setattr('time.perf_counter', lambda: now[0])
    watch = Stopwatch(on_gpu=False)
    for seconds in (2.0, 3.0):
        start = watch.now()
        now[0] += seconds
        watch.add(start, watch.now())
    assert watch.take_seconds() == 5.0
    assert watch.take_seconds() == 0.0
