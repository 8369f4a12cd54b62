"""The node ``roma``: a lifecycle around the model and its pipeline."""

from collections.abc import Callable, Sequence
import functools
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile

from ..msg import Status
from ..policy.instructions import Instruction, InstructionKind, parse_instruction
from ..policy.triggers import PRESETS
from ..runtime.factory import load_runtime, Runtime
from ..runtime.session import SessionConfig
from ..runtime.transcript import WindowConfig
from .executable import run_node
from .health import Health, Snapshot
from .parameter_tables import RomaParameters
from .parameters import declare_parameters, read_parameters
from .pipeline import Pipeline

#: Period of status and diagnostics [s] (REP 107).
STATUS_PERIOD_S = 1.0


_Transition = Callable[['RomaNode', LifecycleState], TransitionCallbackReturn]


def _reported(transition: _Transition) -> _Transition:
    """Report what a transition raises: rclpy turns it into an ERROR without a word."""

    @functools.wraps(transition)
    def run(self: 'RomaNode', state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            self.report_error(error)
            raise

    return run


class RomaNode(LifecycleNode):
    """Watches, listens and speaks up: loads on configure, runs on activate, frees on cleanup."""

    def __init__(self) -> None:
        super().__init__('roma')
        declare_parameters(self, RomaParameters)
        self._phase = Status.STATE_UNCONFIGURED
        self._detail = ''
        self._runtime: Runtime | None = None
        self._pipeline: Pipeline | None = None
        self._options = read_parameters(self, RomaParameters)
        self._instructions: tuple[Instruction, ...] = ()
        self._health = Health()
        self._status_publisher = self.create_publisher(
            Status, '~/status', QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        )
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # Not the ROS clock: with use_sim_time it stands still until somebody publishes /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(STATUS_PERIOD_S, self._report, clock=steady)
        if self._options.autostart:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)
        self._report()

    @_reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; a missing or broken one fails the transition, with the reason."""
        self._enter(Status.STATE_LOADING, 'loading the model')
        try:
            self._options = parameters = read_parameters(self, RomaParameters)
            self._instructions = tuple(
                parse_instruction(line, id=f'instruction-{number}')
                for number, line in enumerate(filter(None, parameters.instructions), start=1)
            )
            self._runtime = load_runtime(
                parameters.model,
                engine=parameters.engine,
                device=parameters.device,
                dtype=parameters.dtype,
                threads=parameters.threads,
            )
        except (OSError, ValueError, RuntimeError) as error:
            self.get_logger().error(f'cannot configure: {error}')
            self._enter(Status.STATE_UNCONFIGURED, f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._enter(Status.STATE_INACTIVE)
        self.get_logger().info(
            f'loaded {self._runtime.path} on {self._runtime.engine.device} '
            f'with {self._runtime.engine.name}'
        )
        return super().on_configure(state)

    @_reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin a stream."""
        assert self._runtime is not None
        try:
            self._pipeline = Pipeline(
                self,
                self._runtime,
                self._options,
                instructions=self._instructions,
                session_config=_session_config(self._options),
            )
        except (ValueError, RuntimeError) as error:
            self.get_logger().error(f'cannot activate: {error}')
            self._enter(Status.STATE_INACTIVE, f'cannot activate: {error}')
            return TransitionCallbackReturn.FAILURE
        self._enter(Status.STATE_ACTIVE)
        return super().on_activate(state)

    @_reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the stream and keep the model and the instructions."""
        self._close_pipeline()
        self._enter(Status.STATE_INACTIVE)
        return super().on_deactivate(state)

    @_reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._runtime = None
        self._enter(Status.STATE_UNCONFIGURED)
        return super().on_cleanup(state)

    @_reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the stream and free the model."""
        self._close_pipeline()
        self._runtime = None
        self._enter(Status.STATE_UNCONFIGURED)
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take everything down after an unexpected error, so that configure can be tried again."""
        self._close_pipeline()
        self._runtime = None
        return TransitionCallbackReturn.SUCCESS

    def report_error(self, error: Exception) -> None:
        """Log an unexpected error and tell of it in the status."""
        self.get_logger().error(traceback.format_exc())
        self._enter(Status.STATE_ERROR, f'{type(error).__name__}: {error}')

    def destroy_node(self) -> None:
        """End the stream before the node goes."""
        self._close_pipeline()
        super().destroy_node()

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _close_pipeline(self) -> None:
        if self._pipeline is None:
            return
        self._report()  # the last figures of this stream
        pipeline, self._pipeline = self._pipeline, None
        self._instructions = pipeline.instructions
        if not pipeline.close():
            self.get_logger().error('the inference thread did not end in time; it is left behind')

    def _enter(self, state: int, detail: str = '') -> None:
        self._phase, self._detail = state, detail
        self._report()

    def _report(self) -> None:
        health, snapshot = self._health, Snapshot(state=self._phase, detail=self._detail)
        if self._pipeline is not None:
            health = self._pipeline.health
            snapshot = self._pipeline.snapshot(self._phase)
        stamp = self.get_clock().now().to_msg()
        self._status_publisher.publish(health.make_status(snapshot, stamp))
        self._diagnostics_publisher.publish(
            health.make_diagnostics(snapshot, stamp, self.get_name())
        )


def _session_config(parameters: RomaParameters) -> SessionConfig:
    thresholds = {
        InstructionKind.NARRATION: parameters.narration_threshold,
        InstructionKind.ALERT: parameters.alert_threshold,
        InstructionKind.ANSWER: parameters.answer_threshold,
    }
    return SessionConfig(
        window=WindowConfig(window_s=parameters.window_s),
        triggers={kind: PRESETS[kind].with_threshold(t) for kind, t in thresholds.items()},
        max_segments=parameters.max_segments,
        share_stream=parameters.share_stream,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end."""
    return run_node(RomaNode, args)
