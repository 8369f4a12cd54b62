from dataclasses import asdict, replace
import json
from pathlib import Path
import re
from xml.etree import ElementTree

import pytest
from safetensors.torch import load_file

from roma_ros.cli.train import main
from roma_ros.model.checkpoint import save_roma
from roma_ros.training import ablation
from roma_ros.training.ablation import Ablation, folder_name, read_ablation, run_ablation, Variant

PLAN = Path(__file__).parents[2] / 'config' / 'train' / 'curriculum.yaml'


class _StoppedError(Exception):
    pass


@pytest.fixture
def plan(small_roma, tokenizer, tmp_path) -> Ablation:
    save_roma(small_roma, tmp_path / 'begin', tokenizer=tokenizer)
    return Ablation(
        model=str(tmp_path / 'begin'),
        variants=(
            Variant(name='two stages'),
            Variant(name='one mixed stage', mixed=True),
            Variant(name='token', decided_by='token'),
            Variant(name='K 1', num_layers_mixed=1),
        ),
        seeds=(0,),
        train_streams=2,
        validation_streams=1,
        duration_s=8,
        streams=1,
        answer_steps=1,
        speak_steps=1,
        learning_rate=1e-3,
    )


def test_the_shipped_plan_asks_what_the_paper_asked():
    plan = read_ablation(PLAN)
    base, mixed, token, k_1, w_2, w_4 = plan.variants

    assert len(plan.seeds) == 3
    assert (base.mixed, base.decided_by, base.num_layers_mixed) == (False, 'head', 4)
    assert mixed == replace(base, name=mixed.name, mixed=True)
    assert token == replace(base, name=token.name, decided_by='token')
    assert k_1 == replace(base, name=k_1.name, num_layers_mixed=1)
    assert [v.positive_weight for v in (base, w_2, w_4)] == [3.0, 2.0, 4.0]
    steps = {sum(phase.steps for phase in plan.phases(v)) for v in plan.variants}
    assert len(steps) == 1


def test_all_variants_of_a_seed_start_from_the_same_towers_and_decoder(plan, tmp_path):
    begun = load_file(tmp_path / 'begin' / 'model.safetensors')
    starts = []

    def look(line: str) -> None:
        # The first line of each run: its start lies there, and nothing of it is learned yet.
        folders = [tmp_path / 'runs' / folder_name(v, 0) / 'start' for v in plan.variants]
        starts.extend(load_file(f / 'model.safetensors') for f in folders if f.is_dir())

    run_ablation(plan, tmp_path / 'runs', report=look)

    assert len(starts) >= len(plan.variants)
    for start in starts:
        for name, tensor in start.items():
            if name.startswith(('thinker.visual.', 'thinker.audio_tower.')):
                assert tensor.equal(begun[name]), name
            elif name.startswith('thinker.model.'):
                assert tensor.equal(starts[0][name]), name
    embeddings = 'thinker.model.embed_tokens.weight'
    assert not starts[0][embeddings].equal(begun[embeddings])
    assert {len(start['thinker.gate_mixer.logits']) for start in starts} == {1, 4}


def test_interrupted_it_goes_on_and_reaches_the_same(plan, tmp_path):
    plan = replace(plan, variants=plan.variants[:2])
    whole = run_ablation(plan, tmp_path / 'whole', report=lambda line: None)
    seen = []

    def stop(line: str) -> None:
        seen.append(line)
        if 'one mixed stage' in line and '2/2' in line:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        run_ablation(plan, tmp_path / 'parts', report=stop)
    first = ablation.read_results(plan, tmp_path / 'parts')
    lines: list[str] = []
    parts = run_ablation(plan, tmp_path / 'parts', report=lines.append)

    assert first == {'two stages': whole['two stages'], 'one mixed stage': []}
    assert parts == whole
    assert not any('two stages' in line for line in lines)
    assert {'ap/listen', 'calibration'} <= whole['two stages'][0].keys()
    # Weights of finished runs are not kept.
    assert not list((tmp_path / 'parts').glob('*/*/model.safetensors'))


def test_leaves_a_run_to_the_process_that_has_it_in_hand(plan, tmp_path):
    plan = replace(plan, variants=plan.variants[:2])
    taken = tmp_path / 'runs' / folder_name(plan.variants[1], 0)
    taken.mkdir(parents=True)

    with ablation._claim(taken) as is_mine:
        assert is_mine
        results = run_ablation(plan, tmp_path / 'runs', report=lambda line: None)

    assert [len(runs) for runs in results.values()] == [1, 0]


def test_does_not_mix_two_plans(plan, tmp_path):
    plan = replace(plan, variants=plan.variants[:1])
    run_ablation(plan, tmp_path / 'runs', report=lambda line: None)

    with pytest.raises(ValueError, match='another plan, which differs in speak_steps: name'):
        run_ablation(replace(plan, speak_steps=2), tmp_path / 'runs', report=lambda line: None)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'variants': []}, 'list at least one of variants, and of seeds'),
        ({'variants': [{'name': 'a'}, {'name': 'a'}]}, 'different names, got a-0, a-0'),
        ({'variants': [{'name': 'a', 'k': 1}]}, 'a variant has no k; there are: .*mixed'),
        ({'speed': 1}, 'the ablation has no speed'),
    ],
)
def test_refuses_a_plan_that_cannot_be_followed(tmp_path, change, match):
    import yaml

    values = yaml.safe_load(PLAN.read_text()) | change
    (tmp_path / 'plan.yaml').write_text(json.dumps(values))

    with pytest.raises(ValueError, match=match):
        read_ablation(tmp_path / 'plan.yaml')


def test_one_command_leaves_a_table_and_a_picture(plan, tmp_path, capsys):
    values = asdict(replace(plan, variants=plan.variants[:2], seeds=(0, 1)))
    (tmp_path / 'plan.yaml').write_text(json.dumps(values))

    assert main(['--ablate', str(tmp_path / 'plan.yaml'), '--out', str(tmp_path / 'runs')]) == 0

    table = (tmp_path / 'runs' / 'curriculum.md').read_text().splitlines()
    assert table[0] == '| | two stages | one mixed stage |'
    assert table[2] == '| seeds | 2 | 2 |'
    spoken = next(line for line in table if line.startswith('| spoken AP |'))
    assert re.fullmatch(r'\| spoken AP( \| 0\.\d\d ± 0\.\d\d){2} \|', spoken)
    picture = (tmp_path / 'runs' / 'curriculum.svg').read_text()
    assert 'one mixed stage' in picture
    assert 'var(--' not in picture
    assert ElementTree.fromstring(picture).tag == '{http://www.w3.org/2000/svg}svg'
    assert '[4/4] one mixed stage, seed 1: ' in capsys.readouterr().out


def test_says_why_it_cannot_begin(tmp_path, capsys):
    assert main(['--ablate', str(tmp_path / 'none.yaml')]) == 1
    assert 'none.yaml' in capsys.readouterr().err
