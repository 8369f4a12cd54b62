import pytest

pytestmark = [
    pytest.mark.ros,
    pytest.mark.usefixtures('needs_ros'),
]


@pytest.fixture
def needs_ros():
    pytest.importorskip('rclpy', reason='rclpy is not installed')


def lines(text):
    return {line.split()[1]: line for line in text.splitlines() if line[:2] in ('ok', '--', '!!')}


def test_sound_installation_has_no_problem(roma):
    done = roma('doctor', ROS_DOMAIN_ID='42')
    assert done.returncode == 0, done.stdout + done.stderr
    shown = lines(done.stdout)
    for name in ('python', 'rclpy', 'roma_ros.msg', 'torch', 'cv2', 'engine', 'model', 'dds'):
        assert shown[name].startswith('ok'), shown[name]
    assert 'ROS_DOMAIN_ID=42' in shown['rmw']
    assert {'microphones', 'cameras'} <= set(shown)
    assert len(done.stdout.splitlines()) <= 40


def test_each_engine_is_told_of(roma, tmp_path):
    (tmp_path / 'onnxruntime.py').write_text("raise ImportError('libonnx is not there')")
    told = roma('doctor', PYTHONPATH=str(tmp_path)).stdout
    assert 'ok  engine torch ' in told
    assert 'engine torch-compiled' in told
    assert '--  engine onnxruntime none: libonnx is not there' in told
    assert 'engine tensorrt' in told
    assert 'ok  engine auto' in told


def test_broken_package_is_a_problem_with_advice(roma, tmp_path):
    (tmp_path / 'cv2.py').write_text("raise ImportError('libGL.so.1 is not there')")
    done = roma('doctor', PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    line = lines(done.stdout)['cv2']
    assert line.startswith('!!')
    assert 'ImportError: libGL.so.1 is not there' in line
    assert 'pip install opencv-python-headless' in line
    assert '1 problem' in done.stdout


def test_own_choice_of_transport_is_told(roma):
    done = roma('doctor', FASTDDS_BUILTIN_TRANSPORTS='UDPv4')
    assert 'FASTDDS_BUILTIN_TRANSPORTS=UDPv4' in lines(done.stdout)['dds']
