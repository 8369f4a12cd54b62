from pathlib import Path

import pytest

from roma_ros.training.curriculum import Phase, read_train_config, TrainConfig

# Of the plans there, one compares recipes: see test_ablation.
PLANS = set((Path(__file__).parents[2] / 'config' / 'train').glob('*.yaml'))
PHASE = {
    'name': 'a',
    'objective': 'speak',
    'steps': 100,
    'streams': 1,
    'duration_s': 8,
    'learning_rate': 1.0,
}


@pytest.mark.parametrize(
    'path', sorted(p for p in PLANS if p.stem != 'curriculum'), ids=lambda p: p.stem
)
def test_the_shipped_plans_can_be_read(path: Path):
    assert isinstance(read_train_config(path), TrainConfig)


def test_the_rate_rises_and_then_falls_as_a_cosine():
    phase = Phase(**PHASE, warmup_steps=10, final_learning_rate=0.2)

    assert phase.rate_at(0) == pytest.approx(0.1)
    assert phase.rate_at(9) == pytest.approx(1.0)
    assert phase.rate_at(10) == pytest.approx(1.0)
    assert phase.rate_at(55) == pytest.approx(0.6)
    assert phase.rate_at(100) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ('field', 'value', 'match'),
    [
        ('objective', 'dance', "objective of phase 'a' is 'dance', expected one of towers"),
        ('train', 'nothing', 'expected one of all, decoder, adapters, head'),
        ('steps', 0, "steps of phase 'a' is 0, expected 1 or more"),
        ('final_learning_rate', 2.0, 'expected positive ones that fall'),
    ],
)
def test_refuses_what_makes_no_phase(field: str, value: object, match: str):
    with pytest.raises(ValueError, match=match):
        Phase(**{**PHASE, field: value})


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('- a', 'expected keys and values, found list'),
        ('model: m', 'there is no phase'),
        ('model: m\nspeed: 3\nphases: []', 'the run has no speed; there are: .*precision'),
        ('model: m\nphases: [{name: a}]', 'a phase: .*missing'),
        ('phases: [{name: a, colour: 1}]', 'a phase has no colour'),
    ],
)
def test_refuses_a_plan_that_cannot_be_followed(tmp_path: Path, text: str, match: str):
    (tmp_path / 'plan.yaml').write_text(text)

    with pytest.raises(ValueError, match=match) as caught:
        read_train_config(tmp_path / 'plan.yaml')

    assert str(caught.value).endswith('plan.yaml')
