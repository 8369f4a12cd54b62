"""What runs while the node is active: inputs, the inference thread, outputs and services."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future as ThreadFuture
from dataclasses import replace
import itertools
import threading
from typing import Any

from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from ..policy.instructions import Instruction, InstructionKind
from ..runtime.factory import Runtime
from ..runtime.results import Reading, Segment, StepResult
from ..runtime.session import SessionConfig, StreamSession
from ..runtime.worker import InferenceWorker
from ..srv import AddInstruction, ListInstructions, RemoveInstruction
from ..units.unit import MultimodalUnit
from .ask import AskServer
from .gate import UtteranceGate
from .health import Health, Snapshot
from .inputs import Inputs
from .messages import make_instruction
from .outputs import Outputs
from .parameter_tables import RomaParameters
from .settings import change_instructions, make_session_config, speech_intervals
from .typed_subscription import TypedSubscription

#: How long a deactivation waits for the unit at hand [s]; it takes up to a second in all.
STOP_TIMEOUT_S = 0.8


class Pipeline:
    """
    One stream, from its activation to its deactivation.

    Callbacks only enqueue; the worker's thread owns the session and publishes its results.

    :param node: owns all publishers, subscriptions and services.
    :param runtime: the loaded model.
    :param parameters: of the node.
    :param ask: the node's action, which is served from now on.
    :param instructions: what stands from the begin.
    :param session_config: how to remember and speak.
    """

    def __init__(
        self,
        node: Node,
        runtime: Runtime,
        parameters: RomaParameters,
        *,
        ask: AskServer,
        instructions: Sequence[Instruction],
        session_config: SessionConfig,
    ) -> None:
        self.health = Health()
        self._node = node
        self._runtime = runtime
        self._queue_capacity = parameters.queue_capacity
        self._utterances = self._highlights = 0
        self._unit: MultimodalUnit | None = None  # the newest that was read
        self._latency_ms = 0.0  # of its scores
        self._error = ''
        self._session = StreamSession(
            runtime.engine,
            runtime.processor,
            runtime.protocol,
            instructions=instructions,
            config=session_config,
        )
        self._standing = _standing(self._session)
        self._worker = InferenceWorker(
            self._session,
            queue_capacity=parameters.queue_capacity,
            on_reading=self._on_reading,
            on_partial=self._on_partial,
            on_result=self._on_result,
            on_error=self._on_error,
        )
        self._gate = UtteranceGate()
        self._gate.configure(speech_intervals(parameters))
        self._outputs = Outputs(node, self._gate)
        self._publishing = threading.Lock()
        self._closed = False
        self._ask = ask
        self._services = [
            node.create_service(AddInstruction, '~/add_instruction', self._add_instruction),
            node.create_service(
                RemoveInstruction, '~/remove_instruction', self._remove_instruction
            ),
            node.create_service(ListInstructions, '~/list_instructions', self._list_instructions),
            node.create_service(Trigger, '~/reset', self._reset),
            node.create_service(SetBool, '~/quiet', self._set_quiet),
        ]
        self._question = TypedSubscription(
            node,
            'question',
            {
                'std_msgs/msg/String': lambda message: self._on_question(message.data),
                'hri_msgs/msg/LiveSpeech': lambda message: self._on_question(message.final),
            },
            depth=10,
        )
        self._inputs = Inputs(node, parameters, on_unit=self._worker.submit)
        self._worker.start()
        ask.begin(self._worker)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Return what stands now."""
        return tuple(instruction for instruction, _ in self._standing)

    def close(self) -> None:
        """Stop reading, finish the unit at hand where that is soon, and take everything down."""
        self._inputs.close()
        self._ask.end('the node was deactivated')
        self._worker.stop(STOP_TIMEOUT_S)
        with self._publishing:  # what a unit that takes longer leads to is not published
            self._closed = True
        for service in self._services:
            self._node.destroy_service(service)
        self._question.destroy()
        self._outputs.close()

    def configure(
        self,
        parameters: RomaParameters,
        before: Sequence[Instruction],
        after: Sequence[Instruction],
    ) -> None:
        """
        Take over what counts at once, from the next unit on.

        :param parameters: of the node.
        :param before: the instructions that the parameter said.
        :param after: those that it says.
        """
        self._inputs.configure(parameters)
        self._gate.configure(speech_intervals(parameters))

        def change(session: StreamSession) -> None:
            config = replace(
                make_session_config(parameters, self._runtime.triggers),
                share_stream=session.config.share_stream,
            )
            if config != session.config:
                session.configure(config)
            removed, added = change_instructions(session.instructions, before, after)
            try:
                for instruction_id in removed:
                    session.remove_instruction(instruction_id)
                for instruction in added:
                    session.add_instruction(instruction)
            finally:
                self._standing = _standing(session)

        self._worker.call(change).add_done_callback(self._log_refusal)

    def has_ended(self, timeout_s: float) -> bool:
        """
        Tell whether the inference thread has left the model to others.

        :param timeout_s: how long to wait for it [s].
        """
        return self._worker.stop(timeout_s)

    def snapshot(self, state: int) -> Snapshot:
        """Return what there is to tell of the pipeline now."""
        self._inputs.log_rejections()
        image_problems, audio_problems = self._inputs.report()
        error, self._error = self._error, ''
        fullest = max((d.cache for d in self._session.dialogues), key=lambda c: c.length)
        return Snapshot(
            state=state,
            model=str(self._runtime.path),
            engine=self._runtime.engine.name,
            device=str(self._runtime.engine.device),
            instructions=self._standing,
            inputs=self._inputs.counters,
            worker=self._worker.counters,
            queue_capacity=self._queue_capacity,
            utterances=self._utterances,
            highlights=self._highlights,
            cache_tokens=fullest.length,
            cache_capacity=fullest.capacity,
            image_topic=self._inputs.image_topic,
            audio_topic=self._inputs.audio_topic,
            image_silence_s=self._inputs.image_silence_s,
            audio_silence_s=self._inputs.audio_silence_s,
            image_problems=image_problems,
            audio_problems=audio_problems,
            held_back=self._gate.held_back,
            quiet=self._gate.quiet,
            error=error,
        )

    def _on_reading(self, reading: Reading) -> None:
        """Publish scores, alerts and highlights; on the worker's thread, before it decodes."""
        with self._publishing:
            if self._closed:
                return
            self._unit = reading.unit
            self._latency_ms = self._outputs.publish_reading(reading, self._inputs.frame_id)
        self._take(reading.segments)
        self._highlights = max([self._highlights, *(h.number for _, h in reading.highlights)])

    def _on_partial(self, segment: Segment) -> None:
        """Publish what is being said, as far as it is; on the worker's thread."""
        with self._publishing:
            if not self._closed and self._unit is not None:
                self._outputs.publish_partial(self._unit, segment, self._inputs.frame_id)

    def _on_result(self, result: StepResult) -> None:
        """Publish what is said; on the worker's thread."""
        with self._publishing:
            if self._closed:
                return
            self._outputs.publish_said(result.unit, result.said, self._inputs.frame_id)
        self.health.add_unit(
            compute_ms=result.compute_ms + result.decode_ms, latency_ms=self._latency_ms
        )
        self._take(result.said)

    def _take(self, segments: Iterable[Segment]) -> None:
        for segment in segments:
            self._ask.take(segment)
            self._utterances += segment.sequence == 0

    def _on_error(self, error: Exception) -> None:
        """Tell of an error at a unit; on the worker's thread."""
        self._error = f'{type(error).__name__}: {error}'
        self._node.get_logger().error(f'a unit failed and is lost: {self._error}')

    def _on_question(self, text: str) -> None:
        if not text.strip():  # speech that is not recognised to its end yet
            return
        asked = self._worker.call(lambda session: session.ask(text))
        asked.add_done_callback(self._log_refusal)

    def _log_refusal(self, asked: ThreadFuture[Any]) -> None:
        if not asked.cancelled() and asked.exception() is not None:
            self._node.get_logger().warning(f'refused: {asked.exception()}')

    async def _add_instruction(
        self, request: AddInstruction.Request, response: AddInstruction.Response
    ) -> AddInstruction.Response:
        def add(session: StreamSession) -> str:
            instruction = Instruction(
                id=request.id or _unused_id(session),
                kind=InstructionKind(request.kind),
                text=request.text,
                threshold=request.threshold or None,
            )
            session.add_instruction(instruction)
            return instruction.id

        response.success, response.message, response.id = await self._change(add)
        return response

    async def _remove_instruction(
        self, request: RemoveInstruction.Request, response: RemoveInstruction.Response
    ) -> RemoveInstruction.Response:
        def remove(session: StreamSession) -> str:
            session.remove_instruction(request.id)
            return ''

        response.success, response.message, _ = await self._change(remove)
        return response

    async def _reset(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        def reset(session: StreamSession) -> str:
            session.reset()
            self._ask.abort_all('the stream was reset')
            return ''

        response.success, response.message, _ = await self._change(reset)
        return response

    def _set_quiet(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._gate.quiet = request.data
        response.success = True
        response.message = 'narrations are held back' if request.data else 'narrations are told'
        return response

    def _list_instructions(
        self, request: ListInstructions.Request, response: ListInstructions.Response
    ) -> ListInstructions.Response:
        response.instructions = [make_instruction(i, threshold) for i, threshold in self._standing]
        return response

    async def _change(self, change: Callable[[StreamSession], str]) -> tuple[bool, str, str]:
        """
        Let the worker's thread change its session, without blocking the executor.

        :return: success, the reason where there is none, and what ``change`` returned.
        """
        done: Future = Future(executor=self._node.executor)

        def run(session: StreamSession) -> str:
            result = change(session)
            self._standing = _standing(session)
            return result

        self._worker.call(run).add_done_callback(done.set_result)
        changed: ThreadFuture[str] = await done
        try:
            return True, '', changed.result()
        except CancelledError:
            return False, 'the node is being deactivated', ''
        except ValueError as error:
            return False, str(error), ''


def _standing(session: StreamSession) -> tuple[tuple[Instruction, float], ...]:
    """Return the standing instructions with the thresholds in force."""
    return tuple((i, session.threshold(i)) for i in session.instructions)


def _unused_id(session: StreamSession) -> str:
    """Return a short name that no instruction has."""
    taken = {instruction.id for instruction in session.instructions}
    return next(name for n in itertools.count(1) if (name := f'instruction-{n}') not in taken)
