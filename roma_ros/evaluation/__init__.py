"""Judging a stream: metrics, benchmarks and reports."""
