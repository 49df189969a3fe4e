"""Measuring what models do: metrics, suites, probes."""
