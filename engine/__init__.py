"""Parlance's engine: models, their weights, and everybody's work on them.

It never imports Streamlit, and importing it loads neither torch nor weights. Start at `core.Engine`.
"""
