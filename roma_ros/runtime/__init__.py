"""Running ROMA one unit at a time: sessions, caches and engines."""
