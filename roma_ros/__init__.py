"""
ROMA for robots: one network that watches, listens and decides by itself when to speak.

Importing this package imports nothing heavy: every ``import roma_ros.msg`` runs this file.
"""

__version__ = '0.1.0'
