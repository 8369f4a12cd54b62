"""What the benchmarks print."""

from collections.abc import Iterator
from typing import Any


def step_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the unit step and the reply."""
    yield 'ms                 at the start     p95   at minute 10    p95   reply of 25   roofline'
    loops = {'reference': figures['reference'], **figures['engines']}
    for name, f in loops.items():
        yield (
            f'{name:<17} {f["unit_ms_p50"]:12.1f} {f["unit_ms_p95"]:7.1f} '
            f'{f["unit_minute_10_ms_p50"]:14.1f} {f["unit_minute_10_ms_p95"]:7.1f} '
            f'{f["reply_ms_p50"]:13.1f} {f["roofline_share"]:13.0%}'
        )
    ratio = figures['ratio']
    yield (
        f'{figures["engine"]} against the reference: unit {ratio["unit_start"]:.1f} times as fast '
        f'at the start, {ratio["unit_minute_10"]:.1f} at minute 10, reply {ratio["reply"]:.1f}'
    )
    for name, f in figures['engines'].items():
        yield (
            f'{name}, at the start: processing {f["process_ms"]:.1f} ms, '
            f'towers {f["encode_ms"]:.1f} ms, language model {f["step_ms"]:.1f} ms'
        )
    yield (
        f'peak: {figures["peak"]["gflops"]:.0f} GFLOP/s, '
        f'{figures["peak"]["bandwidth_gb_s"]:.0f} GB/s on a working set as large as the decoder'
    )


def stream_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a long run."""
    yield '   minutes      p50 ms   p95 ms   CPU ms   memory MiB   cache tokens   positions   said'
    for p in figures['periods']:
        begin, end = p['begin_units'] / 60, (p['begin_units'] + p['units']) / 60
        yield (
            f'{begin:5.0f} to {end:<5.4g}{p["latency_p50_ms"]:8.1f} {p["latency_p95_ms"]:8.1f} '
            f'{p["cpu_p50_ms"]:8.1f} {p["resident_mib"]:12.1f} {p["cache_tokens"]:14,} '
            f'{p["positions"]:11,} {p["segments"]:6}'
        )
    growth, paired = figures['latency_growth'], figures['latency_growth_paired']
    yield (
        'latency, last ten minutes to first: '
        + ('needs 20 minutes' if growth is None else f'{growth:.3f}, {paired:.3f} of a young one')
        + f'; per minute {_signed(figures["latency_ms_per_minute"])} ms'
    )
    yield (
        f'memory after ten minutes: {_signed(figures["memory_growth_mib"])} MiB; '
        f'per minute {_signed(figures["memory_mib_per_minute"])} MiB'
    )
    yield (
        f'cache: at most {figures["cache_tokens_max"]:,} of {figures["capacity"]:,} tokens; '
        f'positions at most {figures["positions_max"]:,}'
    )


def _signed(value: float | None) -> str:
    return '(too short to tell)' if value is None else f'{value:+.2f}'


def node_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what conversions and units cost."""
    yield 'of one core         CPU    images    chunks   units   image delay p50, p95 [ms]'
    for name in ('raw', 'bare', 'units', 'pairs'):
        if name not in figures:
            continue
        f = figures[name]
        delays = [f.get(f'images_delay_ms_{q}', float('nan')) for q in ('p50', 'p95')]
        yield (
            f'{name:<14} {f["cpu_share"]:9.1%} {f["images"]:9.0f} {f["chunks"]:9.0f} '
            f'{f["units"]:7.0f} {delays[0]:13.1f} {delays[1]:7.1f}'
        )
    units = figures['units']
    yield (
        f'conversions and units: {figures["added_share"]:+.1%} of one core; a unit comes '
        f'{units.get("units_delay_ms_p50", float("nan")):.0f} ms after its end '
        f'(p95 {units.get("units_delay_ms_p95", float("nan")):.0f})'
    )


def soak_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a long run of the nodes."""
    yield 'node            CPU   resident MiB       max    own MiB first      last   MiB an hour'
    for name, f in figures['nodes'].items():
        yield (
            f'{name:<12}{f["cpu_share"]:7.1%} {f["resident_mib"]:14.1f} '
            f'{f["resident_mib_max"]:9.1f} {f["own_mib_first"]:16.1f} {f["own_mib_last"]:9.1f} '
            f'{f["own_mib_per_hour"]:+13.2f}'
        )
    yield 'from the last sample of its unit to       count      p50      p95      max [ms]'
    for name, f in figures['latency'].items():
        yield (
            f'{name:<38}{f["count"]:9,} {f["ms_p50"]:8.0f} {f["ms_p95"]:8.0f} {f["ms_max"]:8.0f}'
        )
    lost = figures['lost']
    samples = 'see gaps' if lost['samples_lost'] is None else f'{lost["samples_lost"]} lost'
    yield (
        f'{lost["images_published"]:,} images, {lost["images_lost"]} lost; '
        f'{lost["samples_received"]:,} samples, {samples}; {lost["audio_gaps"]} gaps; '
        f'{lost["units"]:,} units, {lost["units_dropped"]} dropped, '
        f'{lost["units_missing"]} missing'
    )


def recovery_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of how long the node takes to be back."""
    yield 'until a unit of now is told [s]      median      max'
    for name, f in figures['faults'].items():
        yield f'{name:<34}{f["s_median"]:8.2f} {f["s_max"]:8.2f}'


def scaling_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what a unit costs along each axis."""
    yield 'axis                                  value    tokens    unit ms   to the first'
    for p in figures['points']:
        yield (
            f'{p["axis"]:<30} {p["value"]:12,.4g} {p["tokens"]:9,} {p["unit_ms_p50"]:10.1f} '
            f'{p["ratio"]:14.2f}'
        )


def compare_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of two runs side by side."""
    yield f'{"figure":<52} {"first":>11} {"second":>11} {"ratio":>7}'
    for c in figures['changes']:
        note = ''
        if c['is_cost'] and not 0.95 < c['ratio'] < 1.05:
            note = '  better' if c['ratio'] < 1 else '  worse'
        yield f'{c["name"]:<52} {c["first"]:11.4g} {c["second"]:11.4g} {c["ratio"]:7.3f}{note}'


def counts_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what a second of images and sound costs."""
    yield f'{"input":<40} million instructions a second'
    for name, counted in figures['inputs'].items():
        yield f'{name:<40} {counted["million_instructions_per_s"]:29.2f}'


def instructions_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what instructions cost."""
    yield 'alerts   stream    unit ms   to none   ms an alert   cache tokens   cache KiB   new MiB'
    for c in figures['costs']:
        per_alert = '' if c['ms_per_alert'] is None else f'{c["ms_per_alert"]:.2f}'
        yield (
            f'{c["alerts"]:6}   {"shared" if c["share_stream"] else "own":<6} '
            f'{c["unit_ms"]:10.1f} {c["ratio"]:9.3f} {per_alert:>13} {c["cache_tokens"]:14,} '
            f'{c["cache_bytes"] / 1024:11.1f} {c["buffer_bytes"] / 2**20:9.1f}'
        )


def eviction_table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what eviction changes."""
    yield 'difference of the speak probability from a fresh forward over the kept tokens'
    for name, what in (
        ('probability_before', 'before the first eviction'),
        ('probability_after', 'after it, positions contiguous'),
        ('probability_after_append', 'after it, positions append'),
        ('probability_without_eviction', 'of a stream that keeps all'),
    ):
        spread = figures[name]
        if spread is not None:
            yield (
                f'  {what:<32}median {spread["median"]:.2e}   p95 {spread["p95"]:.2e}   '
                f'max {spread["max"]:.2e}'
            )
    yield 'relative difference of what is cached, by layer, after the first eviction'
    for name in ('key', 'value'):
        errors = ' '.join(f'{error:8.1e}' for error in figures[f'{name}_error_by_layer'])
        yield f'  {name + "s":<7}{errors}'
