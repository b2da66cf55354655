"""Intervals, paired and grouped tests, prediction-powered rates, power, and a detector against people."""
