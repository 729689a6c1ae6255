"""Prompt caching planned: where breakpoints belong, what they bring, and why one has missed."""
