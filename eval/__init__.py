"""How an answer is judged, and how a change is judged.

Knows nothing of traces, DuckDB, weeks or `flywheel.toml`: what it needs comes in as values.
"""
