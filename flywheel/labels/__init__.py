"""Draws, tasks, leases, labels and decisions in one append-only store; the only package that imports sqlalchemy."""
