"""Runtimes: one file or folder each, behind `protocol`; `loader` picks one for a model."""
