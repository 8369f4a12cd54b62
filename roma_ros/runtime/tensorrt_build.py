"""Builds TensorRT engines from exported graphs; takes minutes for a large model."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import onnx

from ..model.processor import num_audio_tokens, UnitProcessor
from .exported import Manifest, UnitConfig
from .step_turns import MAX_ANCHORS, MAX_STEP_TOKENS

#: Graphs that TensorRT runs; the table of embeddings is looked up without it.
PLAN_NAMES = ('vision', 'audio', 'step')

Shape = tuple[int, ...]
#: Smallest, usual and largest shape of each input.
Profile = Mapping[str, tuple[Shape, Shape, Shape]]


@dataclass(frozen=True, eq=False)
class Plan:
    """
    One built engine.

    :param data: what TensorRT loads.
    :param layers: how many layers of each kind the graph was parsed to.
    """

    data: bytes
    layers: Mapping[str, int]


def import_tensorrt() -> Any:
    """
    Return TensorRT's module: ``tensorrt``, else ``tensorrt_rtx``, which has the same interface.

    :raises ImportError: when neither is installed.
    """
    try:
        import tensorrt  # type: ignore[import-not-found]

        return tensorrt
    except ImportError:
        pass
    try:
        import tensorrt_rtx  # type: ignore[import-untyped]

        return tensorrt_rtx
    except ImportError as error:
        raise ImportError(
            'the engine tensorrt needs TensorRT: it comes with JetPack, or with `pip install '
            "tensorrt-cu13`; on GeForce and RTX GPUs `pip install tensorrt-rtx-cu13'"
        ) from error


def step_profiles(
    manifest: Manifest, config: UnitConfig, capacity: int, *, compact: bool = False
) -> list[Profile]:
    """
    Return the step's profiles: one word, one unit, a prompt.

    :param compact: one for all three. TensorRT stores the weights once more for the profile of
        one word.
    """
    unit_tokens = usual_unit_tokens(config)
    sizes: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = [
        ((1, 1, 1), (1, 1, 1)),
        ((2, unit_tokens, min(2 * unit_tokens, MAX_STEP_TOKENS)), (1, 2, MAX_ANCHORS)),
        ((2, MAX_STEP_TOKENS // 4, MAX_STEP_TOKENS), (1, 1, MAX_ANCHORS)),
    ]
    if compact:
        sizes = [((1, unit_tokens, MAX_STEP_TOKENS), (1, 2, MAX_ANCHORS))]
    return [
        {
            'embeddings': _each(tokens, lambda n: (n, manifest.hidden_size)),
            'position_ids': _each(tokens, lambda n: (3, n)),
            'mask': (
                (1, 1, tokens[0], tokens[0]),
                (1, 1, tokens[1], capacity // 2),
                (1, 1, tokens[2], capacity),
            ),
            'anchors': _each(anchors, lambda a: (a,)),
        }
        for tokens, anchors in sizes
    ]


def vision_profiles(config: UnitConfig) -> list[Profile]:
    """Return the vision tower's profile: from one token to twice the limit of pixels."""
    processor = config.processor
    patch_pixels = processor.patch_size**2
    values = 3 * processor.temporal_patch_size * patch_pixels
    patches = (
        processor.merge_size**2,
        _usual_patches(config),
        # Panoramas are rounded up to whole tokens by up to this much.
        2 * math.ceil(min(processor.video_max_pixels, processor.max_pixels) / patch_pixels),
    )
    return [
        {
            'patches': _each(patches, lambda p: (p, values)),
            'coordinates': _each(patches, lambda p: (2, p)),
            'windows': _each(patches, lambda p: (p,)),
        }
    ]


def usual_unit_tokens(config: UnitConfig) -> int:
    """Return the tokens of a unit from a camera of 640 x 480 pixels, with sound."""
    video = _usual_patches(config) // config.processor.merge_size**2
    return video + num_audio_tokens(100) + 4


def build_plan(
    trt: Any,
    file: Path,
    profiles: Sequence[Profile],
    *,
    capacity: int,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """
    Build one engine, with the types that the graph has.

    :param trt: of :func:`import_tensorrt`.
    :param file: the graph.
    :param profiles: shapes to be fast at; none: all are fixed.
    :param capacity: tokens of the cache; free dimensions of that name are fixed to it.
    :param on_progress: takes what is being done, in words; what it raises ends the building.
    :return: the engine.
    :raises RuntimeError: when TensorRT does not take the graph; it says why.
    """
    errors: list[str] = []
    logger = _make_logger(trt, errors)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(_with_capacity(file, capacity), str(file)):
        reasons = '; '.join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise RuntimeError(f'TensorRT {trt.__version__} cannot parse {file.name}: {reasons}')
    layers = Counter(network.get_layer(i).type.name for i in range(network.num_layers))
    options = builder.create_builder_config()
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        for name, bounds in shapes.items():
            profile.set_shape(name, *bounds)
        options.add_optimization_profile(profile)
    monitor = _make_monitor(trt, file.stem, on_progress)
    options.progress_monitor = monitor
    data = builder.build_serialized_network(network, options)
    if monitor.error is not None:
        raise monitor.error
    if data is None:
        raise RuntimeError(
            f'TensorRT {trt.__version__} cannot build {file.name}: {"; ".join(errors)}'
        )
    return Plan(bytes(data), dict(layers))


def _with_capacity(file: Path, capacity: int) -> bytes:
    """Read a graph without its weights, and fix the free dimension of the cache."""
    model = onnx.load(file, load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == 'capacity':
                axis.dim_value = capacity
    data: bytes = model.SerializeToString()
    return data


def _usual_patches(config: UnitConfig) -> int:
    rows, columns = UnitProcessor(config.processor).target_size(480, 640)
    return rows * columns // config.processor.patch_size**2


def _each(
    sizes: tuple[int, int, int], shape: Callable[[int], Shape]
) -> tuple[Shape, Shape, Shape]:
    smallest, usual, largest = (shape(size) for size in sizes)
    return smallest, usual, largest


def _make_logger(trt: Any, errors: list[str]) -> Any:
    class Logger(trt.ILogger):
        """Keeps what went wrong."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                errors.append(message)

    return Logger()


def _make_monitor(trt: Any, name: str, on_progress: Callable[[str], None]) -> Any:
    class Monitor(trt.IProgressMonitor):
        """Passes on how far the outermost phase is."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.error: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, num_steps: int) -> None:
            self._steps[phase] = num_steps
            self._report(f'{name}: {phase}')

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            self._report(f'{name}: {phase}, {step + 1} of {self._steps.get(phase, 1)}')
            return self.error is None

        def _report(self, text: str) -> None:
            try:
                on_progress(text)
            except BaseException as error:  # passed on by build_plan, outside of C++
                self.error = self.error or error

    return Monitor()
