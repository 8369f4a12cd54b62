"""What a folder of exported graphs holds, as its manifest says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer
import torch

from ..model.config import ProcessorConfig, read_processor_config, TokenIds
from .kv_cache import KVCache

MANIFEST_NAME = 'manifest.json'
#: Raised when a reader of older graphs would misread newer ones.
FORMAT = 2
#: One ``.onnx`` file each, with its weights in ``.onnx.data`` beside it.
GRAPH_NAMES = ('vision', 'audio', 'embed', 'step')


class UnitConfig(Protocol):
    """What engines of graphs want to know of their model; a RomaConfig tells it, too."""

    @property
    def processor(self) -> ProcessorConfig:
        """Return how a unit becomes features."""
        ...

    @property
    def token_ids(self) -> TokenIds:
        """Return the ids of the special tokens."""
        ...


@dataclass(frozen=True)
class GraphConfig:
    """
    The same, as a folder of graphs tells it.

    :param processor: how a unit becomes features.
    :param token_ids: ids of the special tokens.
    """

    processor: ProcessorConfig
    token_ids: TokenIds


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    A folder of graphs.

    :param model: ``name`` and ``digest`` of the checkpoint that they were made from.
    :param dtype: torch's name of the numbers: float32, float16 or bfloat16.
    :param quantization: int8, int4 or w8a8 where weights are stored so; else empty.
    :param capacity: tokens of the cache; None: any.
    :param num_layers: L.
    :param num_kv_heads: G.
    :param head_dim: D.
    :param inv_freq: the decoder's rotary frequencies, D / 2 of them.
    :param hidden_size: C.
    :param vocab_size: V.
    :param window_patches: patches along one side of the vision tower's attention windows.
    :param graphs: inputs and outputs of each graph, with names, dtypes and shapes.
    :param differences: the largest absolute difference from torch of each kind of output, as it
        was found at export; None where nothing here runs such graphs.
    :param versions: of the packages that took part.
    :param format: of the folder.
    """

    model: Mapping[str, str]
    dtype: str
    quantization: str
    capacity: int | None
    num_layers: int
    num_kv_heads: int
    head_dim: int
    inv_freq: tuple[float, ...]
    hidden_size: int
    vocab_size: int
    window_patches: int
    graphs: Mapping[str, Any]
    differences: Mapping[str, float] | None
    versions: Mapping[str, str]
    format: int = FORMAT

    @property
    def torch_dtype(self) -> torch.dtype:
        """Return the numbers of activations and cache."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    def new_cache(self, capacity: int, device: torch.device) -> KVCache:
        """
        Allocate an empty cache that fits the step graph.

        :raises ValueError: when the graph was exported for smaller caches.
        """
        if self.capacity is not None and capacity > self.capacity:
            raise ValueError(
                f'a cache of {capacity} tokens is asked for, but the graphs were exported for '
                f'{self.capacity}; lower window_s or text_tokens, or export with --capacity '
                f'{capacity}'
            )
        return KVCache(
            num_layers=self.num_layers,
            num_kv_heads=self.num_kv_heads,
            capacity=self.capacity or capacity,
            head_dim=self.head_dim,
            inv_freq=torch.tensor(self.inv_freq),
            dtype=self.torch_dtype,
            device=device,
        )

    def save(self, folder: Path) -> None:
        """Write the manifest; it is written last, and a folder without one is incomplete."""
        text = json.dumps(asdict(self), indent=2)
        (folder / MANIFEST_NAME).write_text(text + '\n', encoding='utf-8')


def is_exported(folder: Path) -> bool:
    """Say whether a folder holds graphs."""
    return (folder / MANIFEST_NAME).is_file()


def read_manifest(folder: Path) -> Manifest:
    """
    Read what a folder of graphs holds.

    :raises FileNotFoundError: when there is no manifest, or a graph is missing.
    :raises ValueError: when the manifest is damaged or of another format.
    """
    file = folder / MANIFEST_NAME
    if not file.is_file():
        raise FileNotFoundError(f'no {MANIFEST_NAME}: no graphs were exported to {folder}')
    try:
        values = json.loads(file.read_text(encoding='utf-8'))
        found = values['format']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{MANIFEST_NAME} is damaged ({error}); run `roma export` again: {folder}'
        ) from error
    if found != FORMAT:
        raise ValueError(
            f'graphs of format {found}, this version reads {FORMAT}; run `roma export` again: '
            f'{folder}'
        )
    missing = [name for name in GRAPH_NAMES if not (folder / f'{name}.onnx').is_file()]
    if missing:
        raise FileNotFoundError(f'no {", ".join(missing)}.onnx; run `roma export` again: {folder}')
    return Manifest(**(values | {'inv_freq': tuple(values['inv_freq'])}))


def read_embeddings(folder: Path, manifest: Manifest) -> torch.Tensor:
    """Return the table of token embeddings, ``[V, C]``, mapped from the embed graph's weights."""
    shape = (manifest.vocab_size, manifest.hidden_size)
    file = folder / 'embed.onnx.data'
    flat = torch.from_file(str(file), size=shape[0] * shape[1], dtype=manifest.torch_dtype)
    return flat.reshape(shape)


def read_graph_config(folder: Path) -> GraphConfig:
    """Read what engines want to know of the model that graphs were made from."""
    tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    return GraphConfig(read_processor_config(folder), TokenIds.lookup(tokenizer.token_to_id))
