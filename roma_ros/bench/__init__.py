"""What running costs and where it deviates: the benchmarks behind ``roma bench``."""
