"""Intervals, paired and grouped tests, prediction-powered estimates, power."""
