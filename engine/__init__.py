"""Parlance's engine: models, their weights, and everybody's work on them.

It never imports Streamlit, and importing it loads neither torch nor weights. Start at `serving.protocol.Engine`.
"""

import os

__version__ = "0.2.0"

# Before GNU's OpenMP starts with torch or llama.cpp: a thread that waits spins for microseconds, then sleeps. Tokens
# a second of one stream on two cores, alone and beside a process that computes as much: never spinning 41 and 63, this
# 130 and 30, the default (milliseconds) 135 and as few as 5.
SPIN_COUNT = "1000"
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
