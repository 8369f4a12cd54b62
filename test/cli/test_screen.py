import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('roma_ros.msg', reason='the messages are not built')

from roma_ros.msg import Instruction, Status

from roma_ros.cli.screen import draw
from roma_ros.nodes.watching import Diagnosis, Point, Said, Series, View

STATUS = Status(
    state=Status.STATE_ACTIVE,
    model='/models/roma-tiny',
    engine='torch',
    device='cpu',
    instructions=[Instruction(id='bell', kind=2, text='a bell rings', threshold=0.6)],
    units=12,
    units_dropped=3,
    queue_length=2,
    queue_capacity=4,
    cache_tokens=300,
    cache_capacity=900,
    unit_latency_p50_ms=210.0,
    unit_latency_p95_ms=340.0,
    unit_compute_p50_ms=150.0,
    unit_compute_p95_ms=190.0,
)


def series(*probabilities, threshold=0.6, name='bell', text='a bell rings'):
    points = tuple(Point(n, p, threshold, p > 0.8) for n, p in enumerate(probabilities))
    return Series(name, 'alert', text, points)


def view(**fields):
    return View('/roma', **{'present': True, 'status': STATUS, **fields})


def said(number, text, *, final=True):
    return Said(number, 'narration', 'narrate', text, number, final)


def shown(picture):
    return '\n'.join(''.join(text for _, text in line) for line in picture)


def looks(picture, words):
    return {look for line in picture for look, text in line if words in text}


def test_everything_is_on_one_screen():
    picture = draw(
        view(
            series=(series(0.05, 0.7, 0.9),),
            transcript=(said(1, 'A taxi stops.'), said(2, 'A dog', final=False)),
            diagnoses=(Diagnosis('roma: camera', 2, 'nothing on /image'),),
            latency_ms=205.0,
        ),
        columns=80,
        rows=24,
    )
    text = shown(picture)
    assert len(picture) <= 24
    for words in (
        'roma /roma  active',
        'roma-tiny by torch on cpu',
        'units 12  dropped 3  queue 2 of 4  cache 300 of 900',
        'latency 205 ms, median 210, p95 340 ms  compute 150, p95 190 ms',
        'bell  a bell rings',
        '▁▆█',
        '0.90 of 0.60',
        '1 s  narration A taxi stops.',
        '2 s  narration A dog …',
        'ERROR  roma: camera: nothing on /image',
        'q quits',
    ):
        assert words in text, text
    assert looks(picture, '▁') == {''}
    assert '33' in looks(picture, '▆')  # over the threshold
    assert '31' in looks(picture, '█')  # triggered
    assert looks(picture, 'dropped 3') == {'31'}


def test_bars_keep_the_newest_seconds_and_their_place():
    picture = draw(view(series=(series(*[0.0] * 100, 0.95),)), columns=50, rows=24)
    line = next(''.join(t for _, t in line) for line in picture if '█' in shown([line]))
    assert len(line) <= 50
    assert line.index('█') == 21
    assert line.count('▁') == 19
    short = draw(view(series=(series(0.95),)), columns=50, rows=24)
    line = next(''.join(t for _, t in line) for line in short if '█' in shown([line]))
    assert line.index('█') == 21


def test_what_a_model_says_steers_no_terminal():
    hostile = '\x1b[2J\x07\r\n\x9bA bell'
    picture = draw(
        view(
            status=Status(state=Status.STATE_ERROR, detail=hostile, model=hostile),
            series=(series(0.5, name=hostile, text=hostile),),
            transcript=(said(1, hostile),),
            diagnoses=(Diagnosis(hostile, 1, hostile),),
        ),
        columns=80,
        rows=24,
    )
    assert all(char.isprintable() for line in picture for _, text in line for char in text)
    assert shown(picture).count('A bell') >= 5


def test_a_small_screen_keeps_scores_errors_and_the_newest_words():
    picture = draw(
        view(
            series=(series(0.5), series(0.4, name='dog', text='a dog barks')),
            transcript=tuple(said(n, f'words {n}') for n in range(50)),
            diagnoses=(
                Diagnosis('roma: camera', 2, 'nothing on /image'),
                *(Diagnosis(f'roma: {n}', 0, 'well') for n in range(6)),
            ),
        ),
        columns=60,
        rows=18,
    )
    text = shown(picture)
    assert len(picture) <= 18
    assert 'a dog barks' in text
    assert 'words 49' in text
    assert 'nothing on /image' in text
    assert 'well' not in text


def test_long_words_are_broken_where_the_screen_ends():
    transcript = (said(1, 'one two ' + '字' * 40),)
    picture = draw(view(transcript=transcript), columns=40, rows=24)
    lines = [''.join(t for _, t in line) for line in picture]
    wide = [line for line in lines if '字' in line]
    assert sum(line.count('字') for line in wide) == 40
    assert all(len(line) + line.count('字') <= 40 for line in wide)


def test_no_node_is_said_with_what_to_do():
    text = shown(draw(View('/roma', others=('/robot/roma',)), columns=80, rows=24))
    assert 'no node /roma here' in text
    assert 'ROS_DOMAIN_ID' in text
    assert 'roma watch --node /robot/roma' in text


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'status': None}, 'has not told its status yet'),
        ({'is_old': True}, 'no status for more than 5 s'),
        ({}, 'nothing yet: a score comes with each second'),
        ({}, 'nothing was said yet'),
    ],
)
def test_what_is_missing_is_said(fields, words):
    assert words in shown(draw(view(**fields), columns=80, rows=24))
