"""The ``roma`` command, one module a verb."""
