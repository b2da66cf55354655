"""The pipeline under test: a thin RAG service. The only place that imports fastapi and qdrant_client."""
