"""Plots of results; every function takes results and an optional ax, and returns the ax."""
