"""Real nodes in real processes, on a DDS domain that nobody else uses."""

import contextlib
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from roma_ros.nodes.dds import set_dds_defaults

sys.path.insert(0, str(Path(__file__).parent))  # for streams.py

#: How long a process may take to start, to be found, or to end [s]; a limit, never a wait.
PATIENCE_S = 100.0
#: A busy machine is no overload: units wait, unless a test wants them to be dropped.
ROMA = {'threads': 1, 'queue_capacity': 60}


@pytest.fixture(scope='module', autouse=True)
def ros_environment(domain_id):
    """Keep this process and its children on the domain, and on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        environment = dict(os.environ)
        environment['ROS_DOMAIN_ID'] = str(domain_id)
        environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        set_dds_defaults(environment)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


class NodeProcess:
    """A process of ours; its output is kept."""

    def __init__(self, command, **kwargs):
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            **kwargs,
        )
        self.lines = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self):
        return ''.join(self.lines)

    def wait_for(self, text):
        """Wait until a line holds ``text``, and return it."""

        def find():
            return next((line for line in self.lines if text in line), None)

        with self._news:
            self._news.wait_for(lambda: find() or not self._reader.is_alive(), timeout=PATIENCE_S)
            line = find()
        assert line is not None, f'{text!r} did not appear in:\n{self.output}'
        return line

    def stop(self, number=signal.SIGINT):
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.join()

    def join(self):
        """Wait for the end and return the exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()


@pytest.fixture
def start_process():
    """Start processes that end with the test."""
    processes = []

    def start(*command, **kwargs):
        processes.append(NodeProcess(command, **kwargs))
        return processes[-1]

    yield start
    for process in processes:
        if process.process.poll() is None:
            process.process.terminate()  # who is killed leaves its shared memory behind
            try:
                process.process.wait(10)
            except subprocess.TimeoutExpired:
                process.process.kill()
        process.join()
        print(process.output)  # shown where the test fails


@pytest.fixture
def start_node(start_process):
    """Start one of our nodes, by the name of its module; ``prelude`` is run first."""

    def start(name, *, remappings=(), environment=None, prelude='pass', **parameters):
        arguments = _parameter_arguments(parameters)
        for rule in remappings:
            arguments += ['-r', rule]
        return start_process(
            sys.executable,
            '-c',
            f'{prelude}\nimport sys\nfrom roma_ros.nodes.{name} import main\nsys.exit(main())',
            '--ros-args',
            *arguments,
            cwd=tempfile.gettempdir(),  # not the source tree, which has no messages
            env={**os.environ, **(environment or {})},
        )

    return start


@pytest.fixture
def ros_node():
    """Return a node of this process, spun in a thread of its own."""
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    from rclpy.executors import ExternalShutdownException

    from roma_ros.nodes.executors import PatientExecutor

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('test', context=context)
    executor = PatientExecutor(context=context)  # what tests destroy meanwhile does not end it
    executor.add_node(node)

    def spin():
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(PATIENCE_S)
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def wait_until():
    """Wait until a condition holds; fail after a long time."""

    def wait(condition, what='the condition'):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f'{what} did not come true'
            time.sleep(0.01)

    return wait


@pytest.fixture
def call(ros_node, wait_until):
    """
    Call a service of any node, and return its answer.

    A service that has not discovered its client yet loses what it answers: it is asked again.
    """

    def call(service, name, **fields):
        client = ros_node.create_client(service, name)
        wait_until(client.service_is_ready, name)
        sent = []

        def is_answered():
            if not sent or time.monotonic() > sent[-1][0] + 2.0:
                sent.append((time.monotonic(), client.call_async(service.Request(**fields))))
            return any(future.done() for _, future in sent)

        wait_until(is_answered, f'the answer of {name}')
        return next(future.result() for _, future in sent if future.done())

    return call


@pytest.fixture
def observer(ros_node, wait_until):
    """Collect what the node roma publishes."""
    from streams import Observer

    return Observer(ros_node, wait_until)


@pytest.fixture
def sensors(ros_node):
    """Run a camera and a microphone."""
    from streams import Sensors

    sensors = Sensors(ros_node)
    yield sensors
    sensors.stop()


@pytest.fixture
def ask(observer, wait_until):
    """Ask questions by the action."""
    from streams import Question

    return lambda question: Question(observer, wait_until, question)


@pytest.fixture
def start_roma(start_node):
    """Start the node roma with one thread."""

    def start(**parameters):
        return start_node('roma_node', **{**ROMA, **parameters})

    return start


@pytest.fixture
def run_roma():
    """Run the node roma in this process: what wants no process of its own starts at once."""
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    running = []

    def run(**parameters):
        from roma_ros.nodes.executors import PatientExecutor
        from roma_ros.nodes.roma_node import RomaNode

        rclpy.init(args=['--ros-args', *_parameter_arguments({**ROMA, **parameters})])
        node, executor, stopping = RomaNode(), PatientExecutor(), threading.Event()
        executor.add_node(node)

        def spin():
            while not stopping.is_set():
                executor.spin_once(timeout_sec=0.05)

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        running.append((node, executor, stopping, thread))
        return node

    yield run
    for node, executor, stopping, thread in running:
        node.prepare_to_end()
        stopping.set()
        thread.join(PATIENCE_S)
        executor.shutdown(timeout_sec=5.0)
        node.destroy_node()
        rclpy.shutdown()


def _parameter_arguments(parameters):
    return [
        argument
        for key, value in parameters.items()
        for argument in (
            '-p',
            f'{key}:={str(value).lower() if value in (True, False) else value}',
        )
    ]


@pytest.fixture
def heavy_model(tmp_path):
    """Return roma-tiny with a table of words that takes 200 MiB more as bfloat16."""
    from roma_ros.share import share_folder

    model = share_folder() / 'models' / 'roma-tiny'
    torch = pytest.importorskip('torch', reason='torch is not installed')
    from safetensors.torch import load_file, save_file

    folder = tmp_path / 'heavy'
    folder.mkdir()
    for name in ('preprocessor_config.json', 'tokenizer.json'):
        (folder / name).symlink_to((model / name).resolve())
    config = (model / 'config.json').read_text(encoding='utf-8')
    tensors = load_file(model / 'model.safetensors')
    name = 'thinker.model.embed_tokens.weight'
    rows, width = tensors[name].shape
    more = 200 * 2**20 // 2 // width
    tensors[name] = torch.cat([tensors[name], torch.zeros(more, width)])
    save_file(tensors, folder / 'model.safetensors')
    was, now = f'"vocab_size": {rows}', f'"vocab_size": {rows + more}'
    assert config.count(was) == 1
    (folder / 'config.json').write_text(config.replace(was, now), encoding='utf-8')
    return folder


#: Lets no answer end by itself, whatever model the package brings.
TALKATIVE = """
import torch
from roma_ros.runtime import dialogue
speakable = dialogue._speakable

def words_alone(engine, protocol):
    bias = speakable(engine, protocol)
    bias[sorted(protocol.stop_ids)] = -torch.inf
    return bias

dialogue._speakable = words_alone
"""


@pytest.fixture
def talkative(monkeypatch):
    """Let no answer end by itself, here; return what does so in another process."""
    from roma_ros.runtime import dialogue

    monkeypatch.setattr(dialogue, '_speakable', dialogue._speakable)
    exec(TALKATIVE, {})
    return TALKATIVE
