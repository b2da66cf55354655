"""What the pages read and write: the workspace's label store and its report files, never the warehouse."""

import os
from pathlib import Path

import streamlit as st

from flywheel.labels.store import LabelStore, open_labels
from flywheel.workspace import Workspace, open_workspace


def workspace() -> Workspace:
    """Open the workspace that `flywheel annotate app` was started in."""
    return open_workspace(Path(os.environ.get("FLYWHEEL_WORKSPACE", ".")))


@st.cache_resource(show_spinner=False)
def label_store(url: str) -> LabelStore:
    """Open a label store once for all sessions."""
    return open_labels(url)
