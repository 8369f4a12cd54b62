import re

import pytest

from roma_ros import __version__
from roma_ros.share import share_folder

pytest.importorskip('transformers', reason='transformers is not installed')


@pytest.fixture(scope='module')
def info(roma):
    done = roma('info')
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def fields(text):
    return dict(line.split(maxsplit=1) for line in text.splitlines())


def test_figures_are_those_of_the_loaded_model(info):
    from roma_ros.model.checkpoint import load_roma

    shown = fields(info)
    assert shown['roma_ros'].startswith(__version__)
    model = load_roma(share_folder() / 'models' / 'roma-tiny').model
    num_parameters = sum(p.numel() for p in model.parameters())
    assert shown['weights'].startswith(f'{num_parameters / 1e6:,.2f} M')
    num_head = sum(p.numel() for p in model.speak_head.parameters())
    assert shown['weights'].endswith(f'speak head {num_head / 1e3:,.1f} k')
    layers = model.config.thinker.text_config.num_hidden_layers
    assert shown['decoder'].startswith(f'{layers} layers')


def test_unit_has_the_tokens_that_the_processor_makes(info):
    import numpy as np

    from roma_ros.model.checkpoint import load_roma
    from roma_ros.model.processor import num_unit_tokens
    from roma_ros.units import MultimodalUnit, UNIT_NS

    unit = MultimodalUnit(
        index=0,
        start_ns=0,
        end_ns=UNIT_NS,
        frames=np.zeros((2, 480, 640, 3), np.uint8),
        frame_stamps_ns=(0, UNIT_NS // 2),
        audio=np.zeros(16_000, np.float32),
    )
    loaded = load_roma(share_folder() / 'models' / 'roma-tiny')
    tokens = num_unit_tokens(loaded.processor(unit))
    counts = re.search(r'(\d+) video \+ (\d+) audio \+ (\d+) special', info)
    assert sum(map(int, counts.groups())) == tokens


def test_interfaces_are_those_of_the_package(info):
    for name in ('AudioChunk', 'Utterance', 'SpeakScore', 'AddInstruction', 'Ask'):
        assert name in info


@pytest.mark.parametrize('content', [{}, {'tokenizer.json': '{'}])
def test_other_folder_is_refused(roma, tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    done = roma('info', '--model', tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith('roma info: ')
    assert 'Traceback' not in done.stderr
