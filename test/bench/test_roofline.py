import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from roma_ros.bench.roofline import decoder_work, measure_peak, Peak, towers_work, Work
from roma_ros.model.checkpoint import load_roma
from roma_ros.runtime.factory import default_model


@pytest.fixture(scope='module')
def loaded():
    return load_roma(default_model())


def counted_flops(call) -> int:
    """Count the multiplications and additions by torch's own counter."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_decoder_work_counts_what_torch_counts(loaded):
    model = loaded.model
    tokens = 50
    embeddings = torch.zeros(1, tokens, loaded.config.thinker.text_config.hidden_size)
    positions = torch.arange(tokens).expand(3, 1, tokens)

    def forward():
        with torch.inference_mode():
            output = model.forward_decoder(embeddings, positions)
            model.lm_logits(output.last_hidden[:, -1])

    work = decoder_work(loaded.config, new_tokens=tokens, length=0, weight_bytes=4, cache_bytes=4)
    text = loaded.config.thinker.text_config
    # Torch's counter knows no attention on a CPU: scores and sums, each token with each.
    attention = 2 * 2 * tokens * tokens * text.hidden_size * text.num_hidden_layers
    assert work.flops == pytest.approx(counted_flops(forward) + attention, rel=0.001)
    weights = sum(p.numel() for p in model.decoder.layers.parameters())
    head = model.thinker.lm_head.weight.numel()
    assert work.num_bytes == pytest.approx(4 * (weights + head), rel=0.15)


def test_towers_work_counts_what_torch_counts(loaded):
    from roma_ros.bench.synthetic import SyntheticStream

    features = loaded.processor(SyntheticStream(0).unit(0))

    def encode():
        with torch.inference_mode():
            loaded.model.encode(features)

    work = towers_work(
        loaded.config,
        patches=len(features.pixel_values),
        mel_frames=features.mel.shape[1],
        weight_bytes=4,
    )
    assert work.flops == pytest.approx(counted_flops(encode), rel=0.1)


def test_the_slower_of_work_and_bytes_bounds_a_step():
    peak = Peak(flops=100.0, bandwidth=10.0)
    assert peak.least_s(Work(flops=200, num_bytes=1)) == 2
    assert peak.least_s(Work(flops=1, num_bytes=50)) == 5


def test_a_peak_is_measured():
    peak = measure_peak(torch.device('cpu'), torch.float32, working_set=1 << 20)
    assert peak.flops > 1e8
    assert peak.bandwidth > 1e8
