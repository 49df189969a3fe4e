"""Parlance's engine: models, their weights, and everybody's work on them.

It never imports Streamlit, and importing it loads neither torch nor weights. Start at `core.Engine`.
"""

import os

# Before torch is imported: threads that wait for each other sleep instead of spinning. On a machine that is busy beside
# us (a fine-tuning run) two spinning threads gave 0.5 tokens a second where sleeping ones gave 11.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
