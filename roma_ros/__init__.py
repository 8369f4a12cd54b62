"""
ROMA for robots: one network that watches, listens and decides by itself when to speak.

Importing this package imports nothing heavy: every ``import roma_ros.msg`` runs this file.
"""

from pkgutil import extend_path

# Python started in the checkout finds this source tree first; the generated messages are in the
# installed copy, which the search goes on to.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
