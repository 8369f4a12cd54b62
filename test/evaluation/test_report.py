from dataclasses import replace
from html import unescape
import json
from pathlib import Path
import re
import shutil
import subprocess

import pytest

from roma_ros.evaluation.record import read_record, StreamRecord
from roma_ros.evaluation.report import render_report, write_report
from roma_ros.evaluation.report_tracks import truth_begin_s
from roma_ros.evaluation.summary import summarize
from roma_ros.evaluation.timeline import clock, Span, Timeline
from roma_ros.evaluation.truth import Condition, Event, Sound, Speech, Truth, TypedQuestion

TRUTH = Truth(
    version=1,
    media='recording.mp4',
    duration_s=20.0,
    clap_s=0.4,
    narrate=True,
    events=(Event(3.0, 'a street'), Event(8.0, 'a <i>cyclist</i>')),
    speech=(Speech(2.0, 3.5, 'alert', 'Tell me when you see a cyclist.'),),
    sounds=(Sound(9.5, 10.7, 'bell'),),
    alerts=(Condition('a cyclist', ((8.0, 20.0),)), Condition('a siren', ())),
    questions=(TypedQuestion(4.0, 'who comes', 'a cyclist'),),
)
BEGIN = '<body data-test="'


@pytest.fixture(scope='module')
def record(stream_path):
    return read_record(stream_path)


@pytest.fixture(scope='module')
def page(record):
    return render_report(record, summarize(record, frames_published=200), truth=TRUTH)


def count(page, css_class):
    return len(re.findall(rf'class="{css_class}[" ]', page))


def test_everything_in_the_record_is_drawn(page):
    assert count(page, 'point') == 40
    assert count(page, 'point triggered') == 2
    assert count(page, 'trigger') == 2
    assert count(page, 'threshold') == 2
    assert count(page, 'thumbnail') == 10
    assert count(page, 'utterance') == 2
    assert count(page, 'highlight') == 1
    assert (count(page, 'event'), count(page, 'window')) == (2, 1)
    assert count(page, 'speech') == 2  # one spoken, one typed
    assert '1; 1 never come' in page
    assert 'who comes → a cyclist' in page
    assert count(page, 'unit') == 20
    assert count(page, 'unit missing') == 1
    assert count(page, 'latency') == count(page, 'compute') == 20
    assert count(page, 'gap') == 1
    assert 'unit 12: NO_AUDIO' in page


def test_file_needs_nothing_from_outside(page):
    assert not re.search(r'\bhttps?:', page)
    assert not re.search(r'\bsrc\s*=', page)
    assert '@import' not in page
    assert '<link' not in page
    references = re.findall(r'\b(?:href|url)\s*[=(]\s*"?([^"\s)]*)', page)
    assert len(references) == 10
    assert all(reference.startswith('data:image/jpeg;base64,') for reference in references)
    assert "default-src 'none'" in page


def test_text_of_the_record_stays_text(page):
    assert page.count('<script') == 2
    assert '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; A taxi passes &amp; stops.' in page
    assert 'what &lt;b&gt;happens&lt;/b&gt;' in page
    assert 'a &lt;i&gt;cyclist&lt;/i&gt;' in page


def test_instruction_cannot_end_the_data(record):
    evil = '</script><b>'
    scores = [replace(score, instruction_id=evil) for score in record.scores]
    page = render_report(replace(record, scores=scores), summarize(record))
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1)
    assert json.loads(data)['units'][3]['scores'][0]['instruction'] == evil
    assert '<b>' not in data


def test_readings_are_those_of_the_units(page):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert [unit['unit'] for unit in data['units']] == list(range(20))
    unit = data['units'][9]
    assert (unit['start'], unit['end'], unit['latency'], unit['compute']) == (9, 10, 390.0, 109.0)
    assert unit['scores'][0] == {
        'instruction': 'cyclist',
        'kind': 'alert',
        'probability': 0.9,
        'threshold': 0.8,
    }


def test_places_follow_the_time_axis(page, record):
    width = float(re.search(r'data-plot-width="(\d+)"', page).group(1))
    circles = re.findall(r'class="point triggered" cx="([\d.]+)" cy="([\d.]+)"', page)
    # Units 9 (alert) and 4 (narration) end at 10 and 5 of 20 s.
    assert [float(x) for x, _ in circles] == pytest.approx([width / 2, width / 4], abs=0.1)
    gap = re.search(r'class="gap" x="([\d.]+)" y="0.0" width="([\d.]+)"', page)
    assert float(gap.group(1)) == pytest.approx(width * 12 / 20, abs=0.1)
    assert float(gap.group(2)) == pytest.approx(width * 0.3 / 20, abs=0.1)
    line = Timeline(record.start_ns, record.end_ns)
    # The clap is at 0.5 s of the record and at 0.4 s of the recording.
    assert truth_begin_s(line, record, TRUTH) == pytest.approx(0.1)
    assert truth_begin_s(line, replace(record, clap=None), TRUTH) == 0


def test_unit_that_came_late_is_not_shown_as_one_that_lacks_something(record):
    scores = [replace(score, flags=4 + 8) for score in record.scores]
    page = render_report(replace(record, scores=scores), summarize(record))
    assert (count(page, 'unit noted'), count(page, 'unit missing')) == (20, 0)
    assert 'unit 3: LATE|REPEATED_FRAME' in page


def test_bad_figures_are_marked(record):
    summary = summarize(record, frames_published=200)
    assert count(render_report(record, summary), 'tile bad') == 1  # the gap
    bad = {**summary, 'units_dropped': 2, 'unit_latency_p95_ms': 1000.0, 'frames_dropped': 3}
    assert count(render_report(record, bad), 'tile bad') == 4


def test_record_without_anything_still_makes_a_page():
    page = render_report(StreamRecord(), summarize(StreamRecord()))
    assert 'Nothing was said.' in page
    assert count(page, 'point') == 0
    assert count(page, 'row') > 2


def test_labels_that_would_meet_go_to_another_lane():
    line = Timeline(0, 60 * 10**9)
    spans = [Span(1.0, 2.0, '', 'a long text that takes room'), Span(2.0, 3.0, '', 'next')]
    assert line.lanes('', '', spans).height == 2 * line.lanes('', '', spans[:1]).height
    apart = [spans[0], Span(40.0, 41.0, '', 'next')]
    assert line.lanes('', '', apart).height == line.lanes('', '', spans[:1]).height


def test_long_streams_keep_their_seconds_apart():
    line = Timeline(0, 3600 * 10**9)
    assert line.width == 3600 * 8
    assert len(line.ticks_s) <= 3600 * 8 / 64 + 1


@pytest.mark.parametrize(
    ('seconds', 'text'), [(0, '0 s'), (59.9, '59 s'), (65, '1:05'), (3605, '1:00:05')]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_browser_shows_it_and_reads_at_the_pointer(record, tmp_path):
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    if chromium is None:
        pytest.skip('no chromium to open the report with')
    path = tmp_path / 'report.html'
    write_report(path, record, summarize(record, frames_published=200), truth=TRUTH)
    probe = """<script>
    const errors = [];
    window.addEventListener('error', (event) => errors.push(event.message));
    document.addEventListener('securitypolicyviolation', (e) => errors.push(e.blockedURI));
    window.addEventListener('load', () => {
      const plot = document.querySelector('.plot');
      const left = plot.getBoundingClientRect().left;
      const width = Number(document.getElementById('rows').dataset.plotWidth);
      plot.dispatchEvent(new PointerEvent('pointermove',
        {clientX: left + width * 9.5 / 20, clientY: 300, bubbles: true}));
      const points = document.querySelectorAll('circle.point').length;
      const shown = Array.from(document.querySelectorAll('image.thumbnail'))
        .filter((item) => item.getBoundingClientRect().width > 10).length;
      const tip = document.getElementById('tip').innerText;
      document.body.dataset.test =
        JSON.stringify({points, shown, tip, errors, page: document.body.innerText});
    });
    </script></head>"""
    path.write_text(path.read_text().replace('</head>', probe))
    dom = subprocess.run(
        [
            chromium,
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            f'--user-data-dir={tmp_path / "profile"}',
            '--window-size=1400,1200',
            '--virtual-time-budget=2000',
            '--dump-dom',
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert BEGIN in dom
    raw = dom.split(BEGIN, 1)[1].split('">', 1)[0]
    seen = json.loads(unescape(raw))
    assert seen['errors'] == []
    assert seen['points'] == 40
    assert seen['shown'] == 10
    assert re.search(r'time\s+9\.50 s', seen['tip'])
    assert re.search(r'cyclist\s+0\.900 of 0\.80', seen['tip'])
    assert '<script>alert("x")</script> A taxi passes & stops.' in seen['page']


def test_template_is_part_of_the_package():
    import roma_ros.evaluation

    assert (Path(roma_ros.evaluation.__file__).parent / 'report.html').is_file()


def test_example_in_the_documentation_runs(stream_path, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / 'docs' / 'demo.md').read_text()
    (example,) = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    (tmp_path / 'demo_output').mkdir()
    shutil.copy(stream_path, tmp_path / 'demo_output' / 'stream.mcap')
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert count((tmp_path / 'report.html').read_text(), 'point') == 40
