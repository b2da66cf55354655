"""A task as HTML. Every text of a trace is escaped, and what acts unseen is made visible: it is shown, never run."""

from html import escape

from flywheel.labels.marks import DOUBTS, answer_parts, closest_part
from flywheel.labels.readable import readable
from flywheel.labels.records import TaskPayload, TaskSentence
from flywheel.report.wording import FOLD_CHARACTERS, FOLD_LINES, number, visible, words

LEAST_FOLDED = 80
"""A passage with fewer characters left after the fold is shown whole."""

LONG_ANSWER, LONG_LINES = 600, 8
"""An answer with more characters or lines may not fit its frame on a wide screen."""


def safe(text: str) -> str:
    """Escape a text of a trace for HTML."""
    return escape(visible(text))


def question_html(payload: TaskPayload) -> str:
    """Show the question."""
    return f'<p class="fw-name">Question</p><div class="fw-text fw-question">{safe(payload.user_input)}</div>'


def answer_html(payload: TaskPayload, chosen: int | None, are_marks_shown: bool) -> str:
    """Show the answer with its sentences numbered; doubtful ones are underlined by strength if marks are shown."""
    pieces = []
    for part in answer_parts(payload):
        if part.number is None:
            pieces.append(safe(part.text))
            continue
        classes = ["fw-chosen"] if part.number == chosen else []
        title = ""
        if are_marks_shown and part.doubt:
            classes.append(f"fw-doubt-{part.doubt}")
            title = f' title="{doubt_words(payload.sentences[part.number - 1], part.doubt)}"'
        pieces.append(f'<sup>{part.number}</sup><span class="{" ".join(classes)}"{title}>{safe(part.text)}</span>')
    said = "".join(pieces) or '<span class="fw-note">(the answer is empty)</span>'
    is_long = len(payload.response) > LONG_ANSWER or payload.response.count("\n") > LONG_LINES
    more = '<div class="fw-note fw-more">The answer goes on: scroll it to the end.</div>' if is_long else ""
    return f'<p class="fw-name">Answer</p><div class="fw-text fw-answer">{said}</div>{more}'


def doubt_words(sentence: TaskSentence, doubt: int) -> str:
    """Say how doubtful a sentence is: `likely unsupported (63 %)`."""
    return f"{DOUBTS[doubt - 1][0]} ({sentence.unsupported:.0%})"


def sentence_note(payload: TaskPayload, chosen: int, doubt: int, are_marks_shown: bool) -> str:
    """Say of the chosen sentence what the machine thinks, and which passage comes closest."""
    sentence = payload.sentences[chosen - 1]
    place = passage_number(payload, sentence.passage_id)
    said = [f"Sentence {chosen}"]
    if are_marks_shown and doubt:
        said.append(doubt_words(sentence, doubt))
    said.append(f"passage {place} comes closest" if place else "no passage comes close")
    if are_marks_shown and sentence.reason:
        said.append(safe(sentence.reason))
    return f'<div class="fw-note">{" · ".join(said)}</div>'


def passage_number(payload: TaskPayload, passage_id: str | None) -> int | None:
    """Give the number that a passage is shown under."""
    return next((n for n, passage in enumerate(payload.passages, start=1) if passage.id == passage_id), None)


def passages_html(payload: TaskPayload, chosen: int | None) -> str:
    """Show the passages, long ones folded, with the part marked that comes closest to the chosen sentence."""
    sentence = payload.sentences[chosen - 1] if chosen else None
    closest = passage_number(payload, sentence.passage_id) if sentence else None
    shown = [f'<p class="fw-name">Passages ({len(payload.passages)})</p>']
    for place, passage in enumerate(payload.passages, start=1):
        span, text = None, readable(passage.text)
        if sentence and place == closest:
            span = closest_part(payload.response[sentence.start : sentence.end], text)
        name = safe(passage.source or passage.id)
        css = "fw-passage fw-closest" if place == closest else "fw-passage"
        shown.append(f'<section class="{css}"><h4>{place} · {name}</h4>{folded_html(text, span)}</section>')
    if not payload.passages:
        shown.append('<div class="fw-note">Nothing was retrieved for this question.</div>')
    return "".join(shown)


def folded_html(text: str, span: tuple[int, int] | None) -> str:
    """Show the head of a text and fold the rest away, open where the marked part lies in it."""
    cut = fold_at(text)
    head = f'<div class="fw-text">{marked(text, 0, cut, span)}</div>'
    if cut == len(text):
        return head
    is_open = " open" if span and span[1] > cut else ""
    rest = f'<div class="fw-text">{marked(text, cut, len(text), span)}</div>'
    return f"{head}<details{is_open}><summary>{number(len(text) - cut)} more characters</summary>{rest}</details>"


def fold_at(text: str) -> int:
    """Give the offset where a text folds: after six lines or about four hundred characters, between words."""
    lines = text.split("\n")
    cut = min(FOLD_CHARACTERS, len("\n".join(lines[:FOLD_LINES])))
    if len(text) - cut < LEAST_FOLDED:
        return len(text)
    space = text.rfind(" ", cut // 2, cut)
    return cut if text[cut] in " \n" or space < 0 else space


def marked(text: str, start: int, end: int, span: tuple[int, int] | None) -> str:
    """Escape text[start:end] and mark what of it lies in the span."""
    if span is None:
        return safe(text[start:end])
    low, high = (min(max(edge, start), end) for edge in span)
    mark = f"<mark>{safe(text[low:high])}</mark>" if low < high else ""
    return safe(text[start:low]) + mark + safe(text[high:end])


def history_html(payload: TaskPayload) -> str:
    """Show the earlier turns of the session, oldest first."""
    turns = [
        f'<p class="fw-name">Question</p><div class="fw-text">{safe(turn.user_input)}</div>'
        f'<p class="fw-name">Answer</p><div class="fw-text">{safe(turn.response or "(none)")}</div>'
        for turn in payload.history
    ]
    return '<hr style="opacity:.3">'.join(turns)


def origin_html(reason: str, payload: TaskPayload, are_marks_shown: bool) -> str:
    """Say why the task is queued, what answered, and what the machine would call the failure."""
    said = [f"why queued: {safe(reason)}"]
    made_by = " · ".join(safe(name) for name in (payload.model, payload.prompt_version, payload.tenant_id) if name)
    said += [f"answered by {made_by}"] if made_by else []
    if are_marks_shown and payload.suggested_failure_type:
        said.append(f"the detector suggests: {words(payload.suggested_failure_type)}")
    return f'<div class="fw-note">{"<br>".join(said)}</div>'
