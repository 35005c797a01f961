"""Extractions as background processes."""
