"""How the pages look: one style sheet for light and dark, wide and narrow, with the theme's accent colour."""

from flywheel.cli.annotate import ACCENT as COLOURS

ACCENT = f"light-dark({COLOURS['light']}, {COLOURS['dark']})"

STYLE = f"""<style>
.block-container {{ padding-top: 4.25rem; padding-bottom: 2rem; max-width: 90rem; }}
.stVerticalBlock {{ gap: .6rem; }}
.fw-name {{ font-size: .75rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; opacity: .7;
  margin: 0 0 .25rem; }}
.fw-text {{ white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.55; user-select: text; }}
.fw-question {{ font-size: 1.15rem; font-weight: 600; max-height: 12rem; overflow-y: auto; }}
.fw-figure {{ font-size: 2rem; font-weight: 600; }}
.fw-figure small {{ font-size: 1.1rem; font-weight: 400; opacity: .75; }}
.fw-note {{ font-size: .85rem; opacity: .75; overflow-wrap: anywhere; }}
.fw-answer sup {{ opacity: .6; user-select: none; margin-right: .1em; }}
.fw-doubt-1 {{ text-decoration: underline dotted {ACCENT} 2px; text-underline-offset: 4px; }}
.fw-doubt-2 {{ text-decoration: underline solid {ACCENT} 2px; text-underline-offset: 4px; }}
.fw-doubt-3 {{ text-decoration: underline wavy {ACCENT} 2px; text-underline-offset: 4px; }}
.fw-chosen, .fw-passage mark {{ background: color-mix(in srgb, {ACCENT} 20%, transparent); color: inherit;
  border-radius: 3px; }}
.fw-passage {{ border-left: 3px solid color-mix(in srgb, currentColor 18%, transparent); padding: 0 0 0 .75rem;
  margin: 0 0 1rem; }}
.fw-passage.fw-closest {{ border-left-color: {ACCENT}; }}
.fw-passage summary {{ cursor: pointer; color: {ACCENT}; font-size: .85rem; margin: .25rem 0; }}
.fw-passage h4 {{ font-size: .9rem; font-weight: 600; margin: 0 0 .25rem; padding: 0; overflow-wrap: anywhere; }}
.fw-more {{ display: none; }}
@media (min-width: 641px) {{
  .fw-more {{ display: block; border-top: 1px dashed currentColor; }}
  .fw-answer {{ max-height: 30vh; overflow-y: auto; }}
  .st-key-passages {{ position: sticky; top: 4.25rem; max-height: calc(100vh - 5rem); overflow-y: auto; }}
}}
</style>"""
