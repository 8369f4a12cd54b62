"""What a ROMA network is made of: sizes, pixel and sound settings, and token ids by name."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    # Imported when wanted: it takes nearly a second, and engines of graphs do without.
    from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import (
        Qwen2_5OmniThinkerConfig,
    )

#: Names of the special tokens, as the Qwen2.5-Omni tokenizer writes them.
TOKEN_NAMES: Mapping[str, str] = {
    'vision_bos': '<|vision_bos|>',
    'vision_eos': '<|vision_eos|>',
    'audio_bos': '<|audio_bos|>',
    'audio_eos': '<|audio_eos|>',
    'video': '<|VIDEO|>',
    'audio': '<|AUDIO|>',
    'image': '<|IMAGE|>',
    'im_start': '<|im_start|>',
    'im_end': '<|im_end|>',
    'endoftext': '<|endoftext|>',
}


@dataclass(frozen=True)
class TokenIds:
    """Ids of the special tokens, looked up by name in a tokenizer, never written down in code."""

    vision_bos: int
    vision_eos: int
    audio_bos: int
    audio_eos: int
    video: int
    audio: int
    image: int
    im_start: int
    im_end: int
    endoftext: int

    @classmethod
    def lookup(cls, token_to_id: Callable[[str], int | None]) -> 'TokenIds':
        """
        Look every special token up by its name.

        :param token_to_id: id of a token, or None; ``tokenizers.Tokenizer.token_to_id`` serves.
        :return: the ids.
        :raises ValueError: when the tokenizer lacks one; the message names all that are missing.
        """
        found = {field: token_to_id(name) for field, name in TOKEN_NAMES.items()}
        missing = [TOKEN_NAMES[field] for field, token_id in found.items() if token_id is None]
        if missing:
            raise ValueError(
                f'the tokenizer has no {", ".join(missing)}; '
                'ROMA needs the tokenizer of a Qwen2.5-Omni checkpoint'
            )
        return cls(
            **{field: token_id for field, token_id in found.items() if token_id is not None}
        )

    def thinker_fields(self) -> dict[str, int]:
        """Return the ids under the names that transformers' thinker configuration uses."""
        return {
            'audio_token_index': self.audio,
            'image_token_index': self.image,
            'video_token_index': self.video,
            'audio_start_token_id': self.audio_bos,
            'audio_end_token_id': self.audio_eos,
            'vision_start_token_id': self.vision_bos,
            'vision_end_token_id': self.vision_eos,
        }


@dataclass(frozen=True)
class SpeakHeadConfig:
    """
    Shape of the speak head.

    :param hidden_size: width C of the hidden states that it reads.
    :param num_layers_mixed: how many of the last hidden states are mixed (K = 4, paper §3.1).
    :param intermediate_size: width of the hidden layer; None is C / 4, as in the release; 0 is
        the release's older head, one linear layer without a hidden one.
    """

    hidden_size: int
    num_layers_mixed: int = 4
    intermediate_size: int | None = None

    def __post_init__(self) -> None:
        if self.hidden_size < 1 or self.num_layers_mixed < 1:
            raise ValueError(
                f'hidden_size {self.hidden_size} and num_layers_mixed {self.num_layers_mixed} '
                'must be 1 or more'
            )
        if self.intermediate_size is not None and self.intermediate_size < 0:
            raise ValueError(f'intermediate_size {self.intermediate_size} must not be negative')

    @property
    def width(self) -> int:
        """Width of the hidden layer; 0 when there is none."""
        if self.intermediate_size is None:
            return self.hidden_size // 4
        return self.intermediate_size


@dataclass(frozen=True)
class ProcessorConfig:
    """
    How frames become patches and sound becomes a log-mel spectrogram.

    Field names are those of ``preprocessor_config.json``, plus the release's two video limits.

    :param video_max_pixels: frames above this many pixels are made smaller first (paper §3.2.3).
    :param video_min_pixels: frames below this many pixels are made larger first (release).
    :param min_pixels: lower limit of the rounding to whole merged patches (Qwen2-VL).
    :param max_pixels: upper limit of the same.
    :param patch_size: side of a patch in pixels.
    :param merge_size: patches along one side that merge to one token.
    :param temporal_patch_size: frames in one temporal patch.
    :param image_mean: mean of each of R, G, B on the scale 0..1 (CLIP).
    :param image_std: standard deviation of the same.
    :param feature_size: mel bands.
    :param n_fft: samples in one analysis window.
    :param hop_length: samples from one window to the next.
    :param sampling_rate: samples per second.
    """

    video_max_pixels: int = 65_536
    video_min_pixels: int = 256
    min_pixels: int = 3_136
    max_pixels: int = 12_845_056
    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    image_mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    image_std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    feature_size: int = 128
    n_fft: int = 400
    hop_length: int = 160
    sampling_rate: int = 16_000

    def __post_init__(self) -> None:
        if not 0 < self.video_min_pixels <= self.video_max_pixels:
            raise ValueError(
                f'video_min_pixels {self.video_min_pixels} must be above 0 and at most '
                f'video_max_pixels {self.video_max_pixels}'
            )
        if not 0 < self.min_pixels <= self.max_pixels:
            raise ValueError(
                f'min_pixels {self.min_pixels} must be above 0 and at most '
                f'max_pixels {self.max_pixels}'
            )
        if self.sampling_rate != 16_000 or self.sampling_rate % self.hop_length:
            raise ValueError(
                f'sampling_rate {self.sampling_rate} must be 16000, and a multiple of '
                f'hop_length {self.hop_length}: a unit holds 16000 samples'
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'ProcessorConfig':
        """
        Read the fields that this project uses from a ``preprocessor_config.json``.

        Newer files hold ``size`` with ``shortest_edge`` and ``longest_edge`` (pixels, in spite of
        the names) in place of ``min_pixels`` and ``max_pixels``.
        """
        known = {f.name: values[f.name] for f in fields(cls) if values.get(f.name) is not None}
        size = values.get('size') or {}
        known.setdefault('min_pixels', size.get('shortest_edge') or cls.min_pixels)
        known.setdefault('max_pixels', size.get('longest_edge') or cls.max_pixels)
        for name in ('image_mean', 'image_std'):
            if name in known:
                known[name] = tuple(known[name])
        return cls(**known)


@dataclass(frozen=True)
class RomaConfig:
    """
    A whole network: the thinker, the speak head, the features and the special tokens.

    :param thinker: transformers' configuration of the thinker.
    :param speak_head: shape of the speak head.
    :param processor: how a unit becomes features.
    :param token_ids: ids of the special tokens.
    :raises ValueError: when the parts do not fit each other.
    """

    thinker: 'Qwen2_5OmniThinkerConfig'
    speak_head: SpeakHeadConfig
    processor: ProcessorConfig
    token_ids: TokenIds

    def __post_init__(self) -> None:
        text, vision, audio = (
            self.thinker.text_config,
            self.thinker.vision_config,
            self.thinker.audio_config,
        )
        pairs = [
            ('speak_head.hidden_size', self.speak_head.hidden_size, text.hidden_size),
            ('vision_config.out_hidden_size', vision.out_hidden_size, text.hidden_size),
            ('audio_config.output_dim', audio.output_dim, text.hidden_size),
            ('processor.patch_size', self.processor.patch_size, vision.patch_size),
            ('processor.merge_size', self.processor.merge_size, vision.spatial_merge_size),
            (
                'processor.temporal_patch_size',
                self.processor.temporal_patch_size,
                vision.temporal_patch_size,
            ),
            ('processor.feature_size', self.processor.feature_size, audio.num_mel_bins),
        ]
        pairs += [
            (f'thinker.{name}', getattr(self.thinker, name, None), token_id)
            for name, token_id in self.token_ids.thinker_fields().items()
        ]
        wrong = [
            f'{name} is {have}, expected {want}' for name, have, want in pairs if have != want
        ]
        if wrong:
            raise ValueError('; '.join(wrong))
        if self.speak_head.num_layers_mixed > text.num_hidden_layers + 1:
            raise ValueError(
                f'the speak head mixes {self.speak_head.num_layers_mixed} hidden states, but '
                f'{text.num_hidden_layers} layers have {text.num_hidden_layers + 1}'
            )


def make_thinker_config(
    token_ids: TokenIds,
    *,
    text_config: Mapping[str, Any],
    vision_config: Mapping[str, Any],
    audio_config: Mapping[str, Any],
    **options: Any,
) -> 'Qwen2_5OmniThinkerConfig':
    """
    Make a thinker configuration that also holds the ids which the class's defaults leave out.

    :param token_ids: the special tokens; ``vision_start_token_id`` and others come from here.
    :param text_config: fields of the decoder.
    :param vision_config: fields of the vision tower.
    :param audio_config: fields of the audio tower.
    :param options: fields of the thinker itself, such as ``tie_word_embeddings``.
    :return: the configuration.
    """
    from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import (
        Qwen2_5OmniThinkerConfig,
    )

    return Qwen2_5OmniThinkerConfig(
        text_config=dict(text_config),
        vision_config=dict(vision_config),
        audio_config=dict(audio_config),
        **token_ids.thinker_fields(),
        **options,
    )


def read_config(path: str | Path, token_ids: TokenIds) -> RomaConfig:
    """
    Read the configuration of a checkpoint folder, in any of the layouts that can be loaded.

    :param path: a folder with ``config.json`` and, optionally, ``preprocessor_config.json``.
    :param token_ids: ids of the folder's tokenizer.
    :return: the configuration.
    :raises FileNotFoundError: when there is no ``config.json``.
    :raises ValueError: when it does not describe a Qwen2.5-Omni thinker.
    """
    from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import (
        Qwen2_5OmniThinkerConfig,
    )

    config_path = Path(path) / 'config.json'
    if not config_path.is_file():
        raise FileNotFoundError(f'no config.json: a checkpoint folder must hold one: {path}')
    values = json.loads(config_path.read_text(encoding='utf-8'))
    thinker_values = values.get('thinker_config')
    if thinker_values is None:
        if values.get('model_type') != 'qwen2_5_omni_thinker':
            raise ValueError(
                f'model_type {values.get("model_type")!r} is not a Qwen2.5-Omni: expected a '
                f'thinker_config, or model_type "qwen2_5_omni_thinker": {config_path}'
            )
        thinker_values = values
    thinker = Qwen2_5OmniThinkerConfig.from_dict(
        {**token_ids.thinker_fields(), **dict(thinker_values)}
    )
    head = values.get('speak_head_config') or {}
    head_width = head.get('intermediate_size', thinker_values.get('gate_hidden_dim'))
    layers_mixed = head.get(
        'num_layers_mixed', len(thinker_values.get('gate_layer_ids') or 'KKKK')
    )
    return RomaConfig(
        thinker=thinker,
        speak_head=SpeakHeadConfig(
            hidden_size=thinker.text_config.hidden_size,
            num_layers_mixed=layers_mixed,
            intermediate_size=head_width,
        ),
        processor=read_processor_config(path),
        token_ids=token_ids,
    )


def read_processor_config(path: str | Path) -> ProcessorConfig:
    """Read a folder's ``preprocessor_config.json``; without one all is as published."""
    file = Path(path) / 'preprocessor_config.json'
    values = json.loads(file.read_text(encoding='utf-8')) if file.is_file() else {}
    return ProcessorConfig.from_dict(values)


def write_config(config: RomaConfig, path: str | Path) -> None:
    """
    Write ``config.json`` and ``preprocessor_config.json`` into an existing folder.

    The layout is that of a Qwen2.5-Omni checkpoint with its talker left out, and with a
    ``speak_head_config`` beside the ``thinker_config``.
    """
    values = {
        'architectures': ['Qwen2_5OmniThinkerForConditionalGeneration'],
        'model_type': 'qwen2_5_omni',
        'enable_audio_output': False,
        'speak_head_config': asdict(config.speak_head),
        'thinker_config': config.thinker.to_diff_dict(),
    }
    processor = asdict(config.processor)
    for name, content in (('config.json', values), ('preprocessor_config.json', processor)):
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        (Path(path) / name).write_text(text + '\n', encoding='utf-8')
