"""The node ``roma``: a lifecycle around the model and its pipeline."""

from collections.abc import Sequence
from concurrent.futures import CancelledError
import threading

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from ..msg import Status
from ..policy.instructions import Instruction
from ..runtime.factory import free_memory, load_runtime, Runtime
from .ask import AskServer
from .executable import run_node
from .health import Health, Snapshot
from .lifecycle import ManagedNode, reported
from .loading import Loading
from .parameter_tables import RomaParameters
from .parameters import declare_parameters, read_parameters
from .pipeline import Pipeline
from .qos import latched
from .settings import change_instructions, make_session_config, parse_instructions

#: Period of status and diagnostics [s] (REP 107).
STATUS_PERIOD_S = 1.0
#: How long a transition that needs the model waits for the last unit of the last stream [s].
_LAST_UNIT_S = 10.0
_STILL_BUSY = 'the last unit of the last stream is still being worked on'


class RomaNode(ManagedNode):
    """Watches, listens and speaks up: loads on configure, runs on activate, frees on cleanup."""

    def __init__(self) -> None:
        self._reporting = threading.Lock()  # of all that a report tells
        self._loading: Loading[Runtime] | None = None
        self._pipeline: Pipeline | None = None
        super().__init__('roma')
        declare_parameters(self, RomaParameters, self._on_change)
        self._phase = Status.STATE_UNCONFIGURED
        self._detail = ''
        self._runtime: Runtime | None = None
        self._last_pipeline: Pipeline | None = None  # it may still use the model
        self._options = read_parameters(self, RomaParameters)
        self._instructions: tuple[Instruction, ...] = ()
        self._health = Health()
        self._status_publisher = self.create_publisher(Status, '~/status', latched())
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # Not the ROS clock: with use_sim_time it stands still until somebody publishes /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(STATUS_PERIOD_S, self._report, clock=steady)
        self._ask = AskServer(self)
        if self._options.autostart:
            self._autostart_timer = self.create_timer(
                0.0, self._autostart, self.slow_group, clock=steady
            )
        self._report()

    @reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; a missing or broken one fails the transition, with the reason."""
        try:
            self._options = parameters = read_parameters(self, RomaParameters)
            self._instructions = parse_instructions(parameters.instructions)
            self._loading = Loading(
                lambda note: load_runtime(
                    parameters.model,
                    engine=parameters.engine,
                    device=parameters.device,
                    dtype=parameters.dtype,
                    quantize=parameters.quantize.removeprefix('none'),
                    threads=parameters.threads,
                    on_progress=note,
                )
            )
            self._enter(Status.STATE_LOADING, 'loading the model')
            self._runtime = self._loading.result()
        except CancelledError:
            return self._fail(Status.STATE_UNCONFIGURED, 'configuring was given up')
        except Exception as error:  # whatever a broken model, driver or lack of memory brings up
            return self._fail(Status.STATE_UNCONFIGURED, f'cannot configure: {_reason(error)}')
        finally:
            self._loading = None
        self._enter(Status.STATE_INACTIVE)
        self.get_logger().info(
            f'loaded {self._runtime.path} on {self._runtime.engine.device} '
            f'with {self._runtime.engine.name}'
        )
        return super().on_configure(state)

    def cancel_configuring(self) -> bool:
        """Give up loading the model; whether it was under way."""
        loading = self._loading
        if loading is not None:
            loading.cancel()
        return loading is not None

    @reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin a stream."""
        assert self._runtime is not None
        if not self._model_is_free():
            return self._fail(Status.STATE_INACTIVE, f'cannot activate: {_STILL_BUSY}')
        try:
            pipeline = Pipeline(
                self,
                self._runtime,
                self._options,
                ask=self._ask,
                instructions=self._instructions,
                session_config=make_session_config(self._options, self._runtime.triggers),
            )
        except (MemoryError, ValueError, RuntimeError) as error:
            return self._fail(Status.STATE_INACTIVE, f'cannot activate: {_reason(error)}')
        with self._reporting:
            self._pipeline = pipeline
        self._enter(Status.STATE_ACTIVE)
        return super().on_activate(state)

    @reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the stream, within a second, and keep the model and the instructions."""
        self._close_pipeline()
        self._enter(Status.STATE_INACTIVE)
        return super().on_deactivate(state)

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and its memory."""
        if not self._model_is_free():
            return self._fail(Status.STATE_INACTIVE, f'cannot clean up: {_STILL_BUSY}')
        self._free_model()
        self._enter(Status.STATE_UNCONFIGURED)
        return super().on_cleanup(state)

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the stream and free the model."""
        self._close_pipeline()
        self._free_model()
        self._enter(Status.STATE_UNCONFIGURED)
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take everything down after an unexpected error, so that configure can be tried again."""
        self._close_pipeline()
        self._free_model()
        return TransitionCallbackReturn.SUCCESS

    def report_error(self, error: Exception) -> None:
        """Tell of an unexpected error in the status."""
        self._enter(Status.STATE_ERROR, _reason(error))

    def _on_change(self, parameters: RomaParameters) -> None:
        """Take over parameters that count at once; rclpy's lock makes changes come one by one."""
        before = parse_instructions(self._options.instructions)
        after = parse_instructions(parameters.instructions)
        self._options = parameters
        with self._reporting:
            pipeline = self._pipeline
        if pipeline is not None:
            pipeline.configure(parameters, before, after)
            return
        removed, added = change_instructions(self._instructions, before, after)
        kept = [i for i in self._instructions if i.id not in removed]
        self._instructions = (*kept, *added)

    def prepare_to_end(self) -> None:
        """End the stream while what is owed can still be sent."""
        self.cancel_configuring()
        self._close_pipeline()

    def destroy_node(self) -> None:
        """End the stream before the node goes."""
        self.prepare_to_end()
        self._ask.destroy()
        super().destroy_node()

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        self.start()

    def _fail(self, state: int, detail: str) -> TransitionCallbackReturn:
        self.get_logger().error(detail)
        self._enter(state, detail)
        return TransitionCallbackReturn.FAILURE

    def _model_is_free(self) -> bool:
        """Wait for the unit that was at hand when the last stream was ended."""
        return self._last_pipeline is None or self._last_pipeline.has_ended(_LAST_UNIT_S)

    def _free_model(self) -> None:
        self._runtime = self._last_pipeline = None
        free_memory()

    def _close_pipeline(self) -> None:
        self._report()  # the last figures of this stream
        with self._reporting:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is None:
                return
            self._phase = Status.STATE_INACTIVE  # no status of an active node without figures
        self._instructions = pipeline.instructions
        self._last_pipeline = pipeline
        pipeline.close()

    def _enter(self, state: int, detail: str = '') -> None:
        self._phase, self._detail = state, detail
        self._report()

    def _report(self) -> None:
        with self._reporting:
            health, detail, loading = self._health, self._detail, self._loading
            if self._phase == Status.STATE_LOADING and loading is not None and loading.progress:
                detail = f'loading the model: {loading.progress}'
            snapshot = Snapshot(state=self._phase, detail=detail)
            if self._pipeline is not None:
                health = self._pipeline.health
                snapshot = self._pipeline.snapshot(self._phase)
            stamp = self.get_clock().now().to_msg()
            self._status_publisher.publish(health.make_status(snapshot, stamp))
            self._diagnostics_publisher.publish(
                health.make_diagnostics(snapshot, stamp, self.get_name())
            )


def _reason(error: Exception) -> str:
    """Return an error in one line, with its type where the words are not ours."""
    expected = isinstance(error, (OSError, ValueError))
    text = ' '.join(str(error).split())
    return text if expected and text else f'{type(error).__name__}: {text}'


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end."""
    return run_node(RomaNode, args)
