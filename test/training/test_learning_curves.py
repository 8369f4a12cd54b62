import json
from pathlib import Path
import re
from xml.etree import ElementTree

from roma_ros.training.learning_curves import draw_learning_curves


def write_log(folder: Path, entries: list[dict[str, float]]) -> None:
    (folder / 'log.jsonl').write_text(''.join(json.dumps(e) + '\n' for e in entries))


def test_each_picture_shows_what_the_log_holds(tmp_path: Path):
    write_log(
        tmp_path,
        [
            *(
                {'step': s, 'train/words_said': 3.0 - s / 100, 'train/rate': 1e-3}
                for s in (10, 20)
            ),
            {'step': 20, 'validation/ap/narrate': 0.5, 'validation/ap/sight': 0.25},
            {'step': 40, 'validation/ap/narrate': 1.0, 'validation/ap/sight': 0.5},
        ],
    )

    written = draw_learning_curves(tmp_path)

    assert [path.name for path in written] == ['losses.svg', 'speak_scores.svg']
    for path in written:
        assert ElementTree.fromstring(path.read_text()).tag.endswith('}svg')
    scores = written[1].read_text()
    assert '>narration<' in scores
    assert '>sight<' in scores
    assert '>joint<' not in scores
    # Of a picture 300 px high the axis goes from 258 px, 0, up to 30 px, 1.
    narration = next(d for d in re.findall(r'd="(M[^"]+)"[^>]*#1f6fb4', scores) if 'L' in d)
    assert re.findall(r' ([\d.]+)', narration)[:2] == ['144.0', '30.0']


def test_a_resumed_run_draws_each_step_once(tmp_path: Path):
    write_log(tmp_path, [{'step': s, 'train/when': 1.0} for s in (10, 20, 30, 20, 30, 40)])

    (path,) = draw_learning_curves(tmp_path)

    curve = max(re.findall(r'd="(M[^"]+)"', path.read_text()), key=lambda d: d.count('L'))
    assert curve.count('L') == 3


def test_a_log_of_nothing_to_draw_draws_nothing(tmp_path: Path):
    write_log(tmp_path, [{'step': 10, 'train/rate': 0.1, 'validation/ap/narrate': float('nan')}])

    assert draw_learning_curves(tmp_path) == []


def test_a_loss_that_is_always_zero_is_drawn_at_the_bottom(tmp_path: Path):
    entries = [{'step': step, 'train/words_said': 0.0} for step in (1, 2, 3)]
    (tmp_path / 'log.jsonl').write_text('\n'.join(map(json.dumps, entries)))
    (path,) = draw_learning_curves(tmp_path)
    assert 'what to say' in path.read_text()
