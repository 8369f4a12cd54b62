import pytest

from roma_ros.evaluation.benchmarks.tabletop import with_triggers
from roma_ros.evaluation.benchmarks.tabletop_run import TabletopEvaluation
from roma_ros.evaluation.benchmarks.tabletop_thresholds import alert_counts, fit_triggers
from roma_ros.policy.triggers import Trigger


def spoken_at(trigger, probabilities):
    trigger = Trigger(trigger)
    return [i + 1 for i, p in enumerate(probabilities) if trigger.update(p)]


def test_finds_what_separates(make_line):
    lines = [make_line(str(i)) for i in range(4)]
    lines += [
        make_line(
            f'n{i}', narrate=True, questions=[], probabilities=[0.7, 0.7, 0.99, 0.8, 0.7, 0.7]
        )
        for i in range(4)
    ]
    triggers = fit_triggers(lines, max_false_per_hour=6)
    assert alert_counts([with_triggers(line, triggers) for line in lines]).f1 == 1
    assert triggers['alert'].window_units == 1  # a single unit is high
    assert spoken_at(triggers['narration'], [0.7, 0.7, 0.99, 0.8]) == [3]
    assert spoken_at(triggers['answer'], [0.1, 0.1, 0.1, 0.1, 0.9, 0.1]) == [5]


def test_keeps_within_the_bound_on_false_alerts(make_line):
    lines = []
    for i in range(10):
        line = make_line(str(i))
        # Nine of ten windows rise to 0.7, and so does one second in which nothing happens.
        for entry in line['alerts'][:2]:
            entry['probabilities'] = [0.7 if p > 0.5 and i else p for p in entry['probabilities']]
        line['alerts'][2]['probabilities'][1] = 0.7
        lines.append(line)
    bold = fit_triggers(lines, max_false_per_hour=1e6)
    shy = fit_triggers(lines, max_false_per_hour=6)
    assert bold['alert'].threshold <= 0.7 < shy['alert'].threshold
    counts = alert_counts([with_triggers(line, shy) for line in lines])
    assert (counts.false, counts.hits) == (0, 2)


def test_where_no_threshold_is_within_the_bound_the_fewest_false_alerts_win(make_line):
    line = make_line()
    for entry in line['alerts']:
        entry['windows'] = []
        entry['probabilities'] = [1.0] * 6
    triggers = fit_triggers([line], max_false_per_hour=0)
    assert alert_counts([with_triggers(line, triggers)]).false == 3


@pytest.mark.parametrize(
    ('fields', 'match'),
    [
        ({'calibrate_on': 'test'}, 'cannot be judged on it'),
        ({'streams': 0}, 'expected at least 1'),
        ({'seed': -1}, 'seed -1'),
    ],
)
def test_refuses_what_makes_no_sense(fields, match):
    with pytest.raises(ValueError, match=match):
        TabletopEvaluation(split='test', **fields)
