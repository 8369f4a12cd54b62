"""
What to expect of a device before one is at hand: memory, and time for a unit and for a word.

::

    python -m roma_ros.bench.devices

Computed, not measured: the roofline of :mod:`.roofline`, with a share of each peak that good
kernels reach. Peaks are those of data sheets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..model.config import (
    make_thinker_config,
    ProcessorConfig,
    RomaConfig,
    SpeakHeadConfig,
    TokenIds,
)
from ..model.processor import num_audio_tokens, UnitProcessor
from .roofline import decoder_work, Peak, towers_work

#: What kernels reach of a peak: products of a hundred rows, and reading memory.
COMPUTE_SHARE, BANDWIDTH_SHARE = 0.4, 0.6
#: Bytes of a weight in memory. Whole numbers carry a scale of two bytes for each 32.
WEIGHT_BYTES: Mapping[str, float] = {'bfloat16': 2.0, 'int8': 1.0625, 'int4': 0.5625}
#: Activations, kernels, and what else a process holds on a GPU [bytes].
OVERHEAD_BYTES = 1.5e9
_MEL_FRAMES = 100


@dataclass(frozen=True)
class Device:
    """
    A device, by its data sheet.

    :param name: what it is sold as.
    :param memory_gb: for weights and cache [GB]; of a Jetson, three quarters of what CPU and GPU
        share.
    :param peak: dense products in 16 bits, summed in 32, and bandwidth.
    """

    name: str
    memory_gb: float
    peak: Peak


#: Where a data sheet gives sparse products of fewer bits alone, each doubling is taken back.
DEVICES = (
    Device('Jetson Orin Nano 8 GB', 6, Peak(17e12, 102e9)),
    Device('Jetson Orin NX 16 GB', 12, Peak(15e12, 102e9)),
    Device('Jetson AGX Orin 64 GB', 48, Peak(42e12, 205e9)),
    Device('Jetson Thor 128 GB', 96, Peak(259e12, 273e9)),
    Device('GeForce RTX 4060 8 GB', 8, Peak(30e12, 272e9)),
    Device('GeForce RTX 4090 24 GB', 24, Peak(165e12, 1008e9)),
    Device('GeForce RTX 5090 32 GB', 32, Peak(210e12, 1792e9)),
    Device('H100 80 GB', 80, Peak(989e12, 3350e9)),
)


@dataclass(frozen=True)
class Estimate:
    """
    What to expect.

    :param memory_gb: of weights, cache and the rest [GB].
    :param unit_ms: to encode and read a unit at the end of a full window [ms].
    :param word_ms: to say one token [ms].
    """

    memory_gb: float
    unit_ms: float
    word_ms: float

    @property
    def words_per_s(self) -> float:
        """Return how many tokens can be said in each second beside reading its unit."""
        return max(0.0, 1000 - self.unit_ms) / self.word_ms


def estimate(config: RomaConfig, peak: Peak, *, precision: str, window_s: int) -> Estimate:
    """
    Return what to expect of a network on a device.

    :param config: sizes of the network.
    :param peak: of the device.
    :param precision: of the linear layers' weights, one of WEIGHT_BYTES; all else is of 16 bits.
    :param window_s: seconds of video and audio in the cache.
    """
    reached = Peak(COMPUTE_SHARE * peak.flops, BANDWIDTH_SHARE * peak.bandwidth)
    weight_bytes = WEIGHT_BYTES[precision]
    rows, columns = UnitProcessor(config.processor).target_size(480, 640)
    patches = rows * columns // config.processor.patch_size**2
    audio_tokens = num_audio_tokens(_MEL_FRAMES)
    unit_tokens = patches // config.processor.merge_size**2 + audio_tokens + 4
    length = window_s * unit_tokens
    towers = towers_work(
        config, patches=patches, mel_frames=_MEL_FRAMES, weight_bytes=weight_bytes
    )
    unit, word = (
        decoder_work(
            config, new_tokens=count, length=length, weight_bytes=weight_bytes, cache_bytes=2
        )
        for count in (unit_tokens, 1)
    )
    text = config.thinker.text_config
    weights = decoder_work(
        config, new_tokens=0, length=0, weight_bytes=weight_bytes, cache_bytes=0
    )
    embeddings = 2 * text.vocab_size * text.hidden_size
    kv_width = text.num_key_value_heads * text.hidden_size // text.num_attention_heads
    cache = 2 * text.num_hidden_layers * kv_width * 2 * length
    total = weights.num_bytes + towers.num_bytes + embeddings + cache + OVERHEAD_BYTES
    return Estimate(
        memory_gb=total / 1e9,
        unit_ms=1e3 * (reached.least_s(towers) + reached.least_s(unit)),
        word_ms=1e3 * reached.least_s(word),
    )


def published_config() -> RomaConfig:
    """Return the sizes of the published network of 7 billion parameters."""
    ids = TokenIds(*range(10))
    thinker = make_thinker_config(
        ids,
        text_config={
            'vocab_size': 152_064,
            'hidden_size': 3584,
            'intermediate_size': 18_944,
            'num_hidden_layers': 28,
            'num_attention_heads': 28,
            'num_key_value_heads': 4,
        },
        vision_config={
            'depth': 32,
            'hidden_size': 1280,
            'intermediate_size': 3420,
            'num_heads': 16,
            'out_hidden_size': 3584,
        },
        audio_config={
            'encoder_layers': 32,
            'encoder_attention_heads': 20,
            'encoder_ffn_dim': 5120,
            'd_model': 1280,
            'output_dim': 3584,
        },
    )
    return RomaConfig(thinker, SpeakHeadConfig(3584), ProcessorConfig(), ids)


def guide(config: RomaConfig, *, window_s: int) -> Iterator[str]:
    """Return the lines of a table in Markdown: every device with every precision that fits."""
    yield '| device | weights | memory | unit | word | words a second |'
    yield '|---|---|---|---|---|---|'
    for device in DEVICES:
        for precision in WEIGHT_BYTES:
            e = estimate(config, device.peak, precision=precision, window_s=window_s)
            row = f'| {device.name} | {precision} | {e.memory_gb:.1f} GB '
            if e.memory_gb > device.memory_gb:
                yield f'{row}| does not fit | | |'
            else:
                yield f'{row}| {e.unit_ms:.0f} ms | {e.word_ms:.1f} ms | {e.words_per_s:.0f} |'


if __name__ == '__main__':
    print('\n'.join(guide(published_config(), window_s=60)))
