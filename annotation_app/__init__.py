"""Streamlit pages: they show and ask, flywheel decides."""
