"""Measurements: ``python -m bench`` from the project's root. See ``__main__``."""
