"""
The ROMA network: transformers' Qwen2.5-Omni thinker, explicit positions and the speak head.

Letters in shapes: B batch, U units, T tokens, L layers, H query heads, K kv heads, D head width,
C model width, V vocabulary.
"""
