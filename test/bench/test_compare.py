import pytest

from roma_ros.bench.compare import Change, compare_runs

RUN = {'benchmark': 'step', 'model': 'm', 'device': 'cpu', 'machine': {'cores': 2}}


def test_figures_are_paired_by_their_path():
    first = {**RUN, 'ratio': {'reply': 2.0}, 'engines': {'torch': {'unit_ms_p50': 8.0, 'x': 0}}}
    second = {**RUN, 'ratio': {'reply': 3.0}, 'engines': {'torch': {'unit_ms_p50': 4.0, 'x': 1}}}
    assert compare_runs(first, second) == [
        Change('ratio.reply', 2.0, 3.0, 1.5, is_cost=False),
        Change('engines.torch.unit_ms_p50', 8.0, 4.0, 0.5, is_cost=True),
    ]


def test_lists_are_paired_by_their_order_and_what_one_lacks_is_left_out():
    first = {**RUN, 'periods': [{'p50': 1}, {'p50': 2}], 'only': 3, 'interrupted': True}
    second = {**RUN, 'periods': [{'p50': 2}], 'interrupted': True}
    assert [c.name for c in compare_runs(first, second)] == ['periods.0.p50']


@pytest.mark.parametrize('name', ['benchmark', 'model', 'device'])
def test_runs_of_different_things_are_refused(name):
    with pytest.raises(ValueError, match=f"differ in their {name}: '.*' and 'other'"):
        compare_runs(RUN, {**RUN, name: 'other'})
