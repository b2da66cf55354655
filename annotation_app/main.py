"""The pages people label and look in: `flywheel annotate app` serves them on this machine."""

import streamlit as st

from annotation_app import label, overview
from annotation_app.style import STYLE
from eval.errors import UserError


def main() -> None:
    """Show the chosen page; what the user can put right is said in a line, as on the command line."""
    st.set_page_config(page_title="Flywheel", layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    pages = [
        st.Page(label.show, title="Label", url_path="label", default=True),
        st.Page(overview.show, title="Overview", url_path="overview"),
    ]
    page = st.navigation(pages, position="top")
    try:
        page.run()
    except UserError as error:
        st.info("This did not work:")
        st.text(str(error))


main()
