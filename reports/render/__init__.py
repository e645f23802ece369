"""Renderers: they format what the summary holds and calculate nothing."""
