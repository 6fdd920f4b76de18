"""Splitting an image of several digits: oversegmentation and the best path through it."""
