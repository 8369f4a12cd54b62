import numpy as np
import pytest
import torch

from roma_ros.model.config import SpeakHeadConfig
from roma_ros.model.speak_head import released_keys, SpeakHead


def count(head: SpeakHead) -> int:
    return sum(parameter.numel() for parameter in head.parameters())


def test_has_the_published_number_of_parameters():
    with torch.device('meta'):
        head = SpeakHead(SpeakHeadConfig(3584))

    assert count(head) == 3_213_061
    shapes = {name: list(p.shape) for name, p in head.named_parameters()}
    assert {disk: shapes[own] for own, disk in released_keys(head.config).items()} == {
        'gate_mixer.logits': [4],
        'gate_head_pro_fc1.weight': [896, 3584],
        'gate_head_pro_fc1.bias': [896],
        'gate_head_pro_fc2.weight': [1, 896],
        'gate_head_pro_fc2.bias': [1],
    }


def test_the_older_head_is_one_linear_layer():
    with torch.device('meta'):
        head = SpeakHead(SpeakHeadConfig(3584, intermediate_size=0))

    assert count(head) == 3584 + 1 + 4
    assert sorted(released_keys(head.config).values()) == [
        'gate_head.bias',
        'gate_head.weight',
        'gate_mixer.logits',
    ]


@torch.inference_mode()
def test_computes_mix_and_mlp():
    """Against the formula, written out in numpy."""
    torch.manual_seed(0)
    head = SpeakHead(SpeakHeadConfig(32, num_layers_mixed=3))
    torch.nn.init.normal_(head.layer_logits)
    states = torch.randn(3, 2, 7, 32)

    logits = head(states)

    assert head.fc1 is not None
    raw, w1, b1, w2, b2 = (
        p.double().numpy()
        for p in (
            head.layer_logits,
            head.fc1.weight,
            head.fc1.bias,
            head.fc2.weight,
            head.fc2.bias,
        )
    )
    weights = np.exp(raw) / np.exp(raw).sum()
    mixed = np.einsum('k,k...->...', weights, states.double().numpy())
    hidden = torch.from_numpy(mixed @ w1.T + b1)
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    np.testing.assert_allclose(logits, (gelu.numpy() @ w2.T + b2)[..., 0], atol=1e-6)
    assert logits.shape == (2, 7)


def test_mixes_evenly_at_first():
    head = SpeakHead(SpeakHeadConfig(8))
    states = torch.randn(4, 8)

    torch.testing.assert_close(head(states), head(states.mean(0).expand(4, 8)))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'hidden_size': 0}, 'hidden_size 0 and num_layers_mixed 4 must be 1 or more'),
        ({'hidden_size': 8, 'intermediate_size': -1}, 'intermediate_size -1'),
    ],
)
def test_rejects_impossible_shapes(values, message):
    with pytest.raises(ValueError, match=message):
        SpeakHeadConfig(**values)
