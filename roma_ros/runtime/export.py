"""From a checkpoint to a folder of ONNX graphs that engines run without torch's modules."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch

from .. import __version__
from ..model.checkpoint import load_roma, LoadedRoma
from ..model.config import RomaConfig, write_config
from ..model.identity import model_identity
from ..model.store import find_checkpoint
from ..policy.model_triggers import read_triggers, write_triggers
from .engine_check import compare_engines
from .exported import GRAPH_NAMES, Manifest, MANIFEST_NAME
from .graphs.quantization import QUANTIZATIONS
from .graphs.step import write_step
from .graphs.towers import MEL_FRAMES, write_audio, write_embed, write_vision
from .onnx_engine import OnnxEngine
from .torch_engine import TorchEngine

#: What exported graphs may differ from torch in float32, as a share of the largest output.
TOLERANCE = 1e-4


def export_model(
    model: str | Path,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    quantize: str = '',
    capacity: int | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """
    Write the graphs of a model, with its tokenizer and configuration beside them.

    :param model: folder of the checkpoint, or ``owner/name`` of a fetched one.
    :param folder: made where it is missing; graphs in it are replaced.
    :param dtype: of weights, activations and cache.
    :param quantize: int8 or int4: store linear layers' weights so; w8a8: round what goes into
        them, too, in float32 alone; empty: as ``dtype``.
    :param capacity: tokens of the cache; None: any. TensorRT wants a number.
    :param on_progress: takes what is being done, in words; what it raises ends the export.
    :return: what the folder holds.
    :raises ValueError: when the model has a part for which there is no graph, or a graph gives
        other results than torch.
    """
    if quantize and quantize not in QUANTIZATIONS:
        raise ValueError(
            f'quantize is {quantize!r}, expected one of {", ".join(QUANTIZATIONS)}, or nothing'
        )
    if quantize == 'w8a8' and dtype != torch.float32:
        raise ValueError(f'w8a8 is for graphs in float32, not in {dtype}')
    path = find_checkpoint(model)
    if any(folder.glob('*.safetensors')):
        raise ValueError(
            f'a checkpoint lies where the graphs should go; give a folder of their own: {folder}'
        )
    loaded = load_roma(path, dtype=dtype, on_progress=on_progress)
    _check_supported(loaded.config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    with torch.inference_mode():
        _write_graphs(loaded, folder, dtype, quantize, capacity, on_progress)
    loaded.tokenizer.save(str(folder / 'tokenizer.json'))
    write_config(loaded.config, folder)
    write_triggers(folder, read_triggers(path))
    manifest = _describe(loaded, folder, model_identity(path), dtype, quantize, capacity)
    manifest.save(folder)
    # ONNX Runtime has no attention in bfloat16 on a CPU.
    if dtype != torch.bfloat16:
        on_progress('comparing with torch')
        manifest = replace(manifest, differences=_compare(loaded, folder, manifest))
        manifest.save(folder)
    return manifest


def _write_graphs(
    loaded: LoadedRoma,
    folder: Path,
    dtype: torch.dtype,
    quantize: str,
    capacity: int | None,
    on_progress: Callable[[str], None],
) -> None:
    quantization = QUANTIZATIONS.get(quantize)
    files = {name: folder / f'{name}.onnx' for name in GRAPH_NAMES}
    on_progress('writing vision.onnx and audio.onnx')
    write_vision(loaded.model, files['vision'], dtype=dtype, quantization=quantization)
    write_audio(loaded.model, files['audio'], dtype=dtype, quantization=quantization)
    on_progress('writing embed.onnx and step.onnx')
    write_embed(loaded.model, files['embed'], dtype=dtype)
    write_step(
        loaded.model, files['step'], dtype=dtype, capacity=capacity, quantization=quantization
    )


def _describe(
    loaded: LoadedRoma,
    folder: Path,
    identity: dict[str, Any],
    dtype: torch.dtype,
    quantize: str,
    capacity: int | None,
) -> Manifest:
    text = loaded.config.thinker.text_config
    vision = loaded.config.thinker.vision_config
    merge = vision.spatial_merge_size
    return Manifest(
        model=identity,
        dtype=str(dtype).removeprefix('torch.'),
        quantization=quantize,
        capacity=capacity,
        num_layers=text.num_hidden_layers,
        num_kv_heads=text.num_key_value_heads,
        head_dim=text.hidden_size // text.num_attention_heads,
        inv_freq=tuple(loaded.model.decoder.rotary_emb.inv_freq.tolist()),
        hidden_size=text.hidden_size,
        vocab_size=text.vocab_size,
        window_patches=vision.window_size // merge // vision.patch_size * merge,
        graphs={name: _signature(folder / f'{name}.onnx') for name in GRAPH_NAMES},
        differences=None,
        versions={
            'roma_ros': __version__,
            **{name: version(name) for name in ('onnx', 'onnxruntime', 'torch', 'transformers')},
        },
    )


def _signature(file: Path) -> dict[str, dict[str, Any]]:
    """Return dtypes and shapes of a graph's inputs and outputs, by their names."""
    graph = onnx.load(file, load_external_data=False).graph
    return {
        kind: {
            value.name: {
                'dtype': onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower(),
                'shape': [
                    axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim
                ],
            }
            for value in values
        }
        for kind, values in (('inputs', graph.input), ('outputs', graph.output))
    }


def _compare(loaded: LoadedRoma, folder: Path, manifest: Manifest) -> dict[str, float]:
    """
    Run the graphs beside torch.

    :raises ValueError: when float32 graphs give other results.
    """
    engine = OnnxEngine(folder, loaded.config, device=torch.device('cpu'))
    differences, largest = compare_engines(engine, TorchEngine(loaded.model), loaded.config)
    if manifest.dtype == 'float32' and not manifest.quantization:
        wrong = [
            f'{name} by {difference:.2g} of {largest[name]:.2g}'
            for name, difference in differences.items()
            if not difference <= TOLERANCE * max(1.0, largest[name])
        ]
        if wrong:
            raise ValueError(f'the graphs differ from torch: {"; ".join(wrong)}: {folder}')
    return differences


def _check_supported(config: RomaConfig) -> None:
    """
    Refuse networks with parts that the graphs do not have.

    :raises ValueError: naming them all.
    """
    text, vision, audio = (
        config.thinker.text_config,
        config.thinker.vision_config,
        config.thinker.audio_config,
    )
    wanted = [
        ('text_config.hidden_act', text.hidden_act, 'silu'),
        ('text_config.rope_parameters.rope_type', text.rope_parameters['rope_type'], 'default'),
        ('text_config.use_sliding_window', bool(text.use_sliding_window), False),
        ('vision_config.hidden_act', vision.hidden_act, 'silu'),
        ('audio_config.activation_function', audio.activation_function, 'gelu'),
    ]
    wrong = [
        f'{name} is {have!r}, expected {want!r}' for name, have, want in wanted if have != want
    ]
    if 2 * audio.n_window < MEL_FRAMES:
        wrong.append(f'audio_config.n_window is {audio.n_window}, expected at least 50')
    if wrong:
        raise ValueError(f'no graphs for this network: {"; ".join(wrong)}')
