"""``roma web`` beside the real node, in a real browser."""

import json
import sys
import urllib.error
from urllib.parse import urlsplit
import urllib.request

import numpy as np
import pytest

CODE = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


@pytest.fixture(scope='module')
def page(robot, robot_environment):
    """Run `roma web`; return its link."""
    from robot import Process

    process = Process([sys.executable, '-c', CODE, 'web', '--port', '0'], robot_environment)
    yield process.wait_for('open http').removeprefix('open ').strip()
    assert process.stop() == 0
    assert 'Traceback' not in process.output


@pytest.mark.ros
def test_the_page_shows_the_node_and_takes_commands(page, browser):
    browser.open(page)
    browser.wait_for("document.getElementById('state')?.textContent.startsWith('active')")
    assert browser.evaluate("document.getElementById('node').textContent") == 'roma /roma'
    # The camera that the node names in its diagnostics: the film of a red square.
    browser.wait_for("document.getElementById('picture').naturalWidth === 160")
    assert browser.evaluate("document.getElementById('topic').textContent") == '/image'
    browser.wait_for("document.querySelectorAll('.series polyline').length === 4")
    browser.wait_for(
        "document.querySelector('.series polyline.threshold + polyline').points.numberOfItems >= 2"
    )
    browser.wait_for("document.getElementById('diagnoses').innerText.includes('roma: camera')")

    # A new instruction; what looks like markup stays text.
    browser.evaluate(
        f"document.getElementById('text').value = {json.dumps(HOSTILE)};"
        "document.getElementById('threshold').value = '0.002';"
        "document.querySelector('#add button').click()"
    )
    browser.wait_for("document.getElementById('added').textContent === 'added instruction-3'")
    browser.wait_for("document.querySelectorAll('.series').length === 3")
    listed = browser.wait_for("document.getElementById('instructions').children[2]?.textContent")
    assert listed == f'remove instruction-3 alert: {HOSTILE} threshold 0.002'
    # It speaks at once, and what it says is text, too.
    browser.wait_for(
        "document.getElementById('transcript').innerText.includes('alert <img src=x')"
    )
    assert browser.evaluate('document.images.length') == 1
    assert browser.evaluate('document.title') == 'roma'

    # One that the node refuses, with the node's reason.
    browser.evaluate(
        "document.getElementById('text').value = '';document.querySelector('#add button').click()"
    )
    browser.wait_for("document.getElementById('added').textContent.includes('has no text')")

    browser.evaluate(
        "document.getElementById('instructions').children[2].querySelector('button').click()"
    )
    browser.wait_for("document.getElementById('added').textContent === 'removed instruction-3'")
    browser.wait_for("document.getElementById('instructions').children.length === 2")

    browser.evaluate(
        "document.getElementById('question').value = 'what do you see?';"
        "document.querySelector('#ask button').click()"
    )
    browser.wait_for(
        "document.getElementById('answer').textContent.startsWith('what do you see? ')"
    )
    browser.wait_for("document.getElementById('transcript').innerText.includes(' answer ')")
    refused = [error for error in browser.errors if '400' not in error]  # that was our own
    assert refused == []


@pytest.mark.ros
def test_who_has_no_link_gets_nothing(page, browser):
    parts = urlsplit(page)
    browser.open(f'{parts.scheme}://{parts.netloc}/')
    browser.wait_for("document.body.textContent.includes('open the link that roma web printed')")
    with pytest.raises(urllib.error.HTTPError, match='403'):
        urllib.request.urlopen(f'{parts.scheme}://{parts.netloc}/frame.jpg')


@pytest.mark.ros
def test_the_picture_of_a_named_topic_is_a_jpeg(robot, robot_environment):
    from robot import Process

    command = [sys.executable, '-c', CODE, 'web', '--port', '0', '--image-topic', 'image']
    process = Process(command, robot_environment)
    link = urlsplit(process.wait_for('open http').removeprefix('open ').strip())
    events = urllib.request.urlopen(link._replace(path='/events').geturl(), timeout=120)
    while b'"image_topic": "/image"' not in (line := events.readline()):
        assert line
    cv2 = pytest.importorskip('cv2', reason='OpenCV is not installed')
    frame = link._replace(path='/frame.jpg').geturl()
    while not (jpeg := urllib.request.urlopen(frame, timeout=120).read()):
        assert events.readline()
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (120, 160, 3)
    blue, _, red = pixels[50:70].max(axis=(0, 1))
    assert red > 200 > 120 > blue
    events.close()
    assert process.stop() == 0


@pytest.mark.parametrize('port', ['80000', 'x', '-1'])
def test_what_is_no_port_is_refused(roma, port):
    done = roma('web', f'--port={port}')
    assert done.returncode == 2
    assert 'is no port' in done.stderr


def test_there_is_no_way_beyond_this_machine(roma):
    assert roma('web', '--address', '0.0.0.0').returncode == 2
    assert 'ssh -L' in roma('web', '--help').stdout
