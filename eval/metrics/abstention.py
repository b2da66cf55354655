"""Abstention: whether the answer says that it cannot answer, and whether that was right.

The rule: an answer abstains if its first sentence says so and at most 160 characters follow it, if its first
sentence is a flat refusal and at most 700 follow, or if its last sentence is a flat refusal after at most six
others. "I don't know" in passing inside an answer is none of these. A short answer that opens with a
disclaimer and then tells what is known counts as an abstention; a longer one counts as an answer.
"""

import hashlib
from collections.abc import Sequence

from eval.embedding import readable
from eval.sample import Instrument, Sample, Score, Status

NAME = "abstention_correct"
CODE_VERSION = "1"

# Space and word classes are spelt out: RE2 and Rust differ on which characters \s and \w hold.
SPACES = " \t\r\n\u00a0\u3000"
SPACE = f"[{SPACES}]"
ME = rf"(?:^|[{SPACES},;:(\"'“‘—-])(?:i|we)"
NOT = r"(?:not|n['’]t|n[eo]ither)"
CANNOT = (
    rf"(?:can ?not|ca{NOT}|could ?not|could{NOT}|(?:am|are|is|was|were)(?: currently| also)? unable to|am not able to)"
)
DO_NOT = rf"(?:do|does|did)(?: ?{NOT})(?: (?:currently|really|actually|explicitly|specifically|directly|seem to))?"
SOURCES = (
    r"(?:passages?|documents?|contexts?|texts?|sources?|articles?|excerpts?|knowledge base|materials?|data"
    r"|search results?|information|references?)"
)
MATTER = (
    r"(?:information|info|details?|data|knowledge|answers?|mention|references?|recommendations?|evidence|lists?|names?"
    r"|figures?|numbers?|amounts?)"
)
THAT = r"(?:(?:any|the|that|this|enough|sufficient|specific|such|exact|necessary|further|an?|real-time|relevant) ){0,3}"
ANSWER = r"(?:answer|determine|find|tell|confirm|provide|help|assist|give|say|advise|explain|respond)"

REFUSALS = (
    rf"{ME} {CANNOT} answer",
    r"unable to (?:answer|determine|provide an answer)",
    r"(?:question|query) (?:can ?not|can['’]t) be answered",
    r"can ?not (?:answer|be (?:answered|determined))",
    r"not possible to (?:answer|determine)",
    r"(?:frage|anfrage) (?:kann|lässt sich) [^.!?]{0,60}nicht (?:beantwort|klär)",
)
"""Flat refusals: they end an answer as well as open it."""

OPENINGS = (
    *REFUSALS,
    # English, the writer speaks of itself
    rf"{ME} {DO_NOT} know",
    rf"{ME} {DO_NOT} have {THAT}{MATTER}",
    rf"{ME} {DO_NOT} have (?:access|enough|sufficient)",
    rf"{ME} (?:have|found|find|see) no {THAT}{MATTER}",
    rf"{ME} {DO_NOT} (?:find|see) {THAT}{MATTER}",
    rf"{ME} {CANNOT}(?: [^ .!?]+ly)? {ANSWER}",
    rf"{ME}(?:['’]m| am|['’]re| are) (?:afraid i )?"
    r"(?:unable to|not able to|not aware of|not sure(?: what| how|[.!]|$))",
    r"(?:sorry|apologi[sz]e|unfortunately)[^.!?]{0,60} "
    r"(?:can ?not|can['’]t|unable to|not able to|do ?n[o'’]t have|do not have)",
    # English, the writer speaks of the passages
    rf"{SOURCES}(?: (?:provided|given|above|retrieved|available))? {DO_NOT} (?:contain|mention|provide|include|say"
    r"|state|specify|discuss|cover|address|give|have|answer|offer|indicate|describe)",
    rf"none of the (?:[^ .!?]+ )?{SOURCES} "
    r"(?:mention|contain|provide|say|state|explicitly|discuss|address|answer|specif|include)",
    r"(?:there (?:is|was|are)|there['’]s|contains?|provides?|includes?|has|have) "
    rf"(?:no|not any|not enough|insufficient) {THAT}{MATTER}",
    rf"(?:no|not enough|insufficient) {THAT}{MATTER} "
    r"(?:is|was|are|were|in|on|about|to|available|provided|found|regarding)",
    r"(?:not|n['’]t) (?:[^ .!?]+ly )?(?:mentioned|provided|specified|stated|given|included|covered|discussed"
    r"|available|found|contained|addressed) (?:in|by|within|from) (?:any of )?"
    rf"(?:the|these|this|your|my|our)? ?(?:[^ .!?]+ )?{SOURCES}",
    # German, French, Spanish, Italian, Portuguese, Dutch
    r"(?:ich weiß|ich weiss|wir wissen|weiß ich|weiss ich) (?:es |das |leider ){0,2}nicht",
    r"(?:keine|nicht genügend|nicht genug) (?:angaben?|informationen?|hinweise?|antwort|daten)",
    r"(?:kann|können) (?:ich |wir )?[^.!?]{0,60}nicht (?:beantworten|sagen|finden)",
    r"(?:geht|gehen) [^.!?]{0,60}nicht hervor",
    r"je ne (?:sais pas|dispose pas|trouve pas|peux pas (?:répondre|vous))",
    r"ne (?:contien(?:t|nent)|mentionnen?t?|précisen?t?|fournissen?t|permett?(?:ent)?) (?:pas|aucune?)",
    r"(?:aucune|pas d['’]|pas assez d['’]) ?information",
    r"no (?:lo )?(?:sé|sabemos|tengo información|dispongo de|puedo responder|puedo contestar)",
    r"no (?:se menciona|contienen?|mencionan?|hay|proporcionan?|especifican?)[^.!?]{0,40}"
    r"(?:información|datos|contexto|documentos?|textos?)",
    r"non (?:lo )?(?:so (?:rispondere|la risposta)|lo so|ho (?:informazioni|abbastanza)|posso rispondere)",
    r"non sono in grado",
    r"non (?:contengono|contiene|menzionano|ci sono|fornisc(?:e|ono))[^.!?]{0,40}(?:informazion|risposta|dettagl)",
    r"não (?:sei|tenho informaç|posso responder|há informaç|contêm|contém|menciona)",
    r"ik weet (?:het |dat )?niet|(?:geen|onvoldoende) informatie|kan (?:ik )?[^.!?]{0,40}niet beantwoorden",
    # Polish, Russian, Chinese, Japanese, Korean
    r"nie (?:wiem|mam informacji|mogę odpowiedzieć|zawierają)|brak informacji",
    r"(?:я )?не (?:знаю|могу ответить)|нет информации|не содерж(?:ит|ат)",
    r"我不知道|我不清楚|无法回答|無法回答|没有(?:提到|提及|提供|相关|足够)|沒有(?:提到|提及|提供|相關|足夠)|无法确定",
    r"わかりません|分かりません|お答えできません|情報(?:が|は)(?:ありません|見つかりません|含まれていません)|記載(?:が|は|されて)(?:ありません|いません)",
    r"모르겠습니다|알 수 없습니다|답변할 수 없습니다|정보가 없습니다|찾을 수 없습니다",
)
"""Wording that abstains where it opens an answer."""

# A point inside a figure or an abbreviation such as 6.16.0 ends no sentence.
IN_SENTENCE = rf"(?:[^.!?。！？\n]|[.!?][^{SPACES}])"
COURTESY = (
    r"(?:(?:i(?:['’]?m| am)? )?(?:very |so |really )?(?:sorry|apologi[sz]e|unfortunately|thank you|hello|hi)"
    rf"[^.!?\n]{{0,40}}[.!?]{SPACE}*)?"
)
REFUSAL = f"(?:{'|'.join(REFUSALS)})"
# Sentences are counted, not characters, wherever something else is looked for at the same time: each
# position of a counter is a state of its own to RE2 and Rust, and made them ten times slower.
ABSTENTION_PATTERN = (
    rf"(?is)^[{SPACES}\"'“*>-]*(?:{COURTESY}{IN_SENTENCE}*?(?:{'|'.join(OPENINGS)})"
    rf"{IN_SENTENCE}*(?:[.!?。！？\n].{{0,160}})?$"
    rf"|{IN_SENTENCE}*?{REFUSAL}.{{0,700}}$"
    rf"|(?:[^.!?:\n]*[.!?:\n]+){{1,6}}{SPACE}[^.!?\n]*{REFUSAL}[^.!?\n]*(?:[.!?]|{SPACE})*$)"
)
"""The rule above as one regular expression that DuckDB (RE2) and Polars (Rust) agree on: no lookaround."""


def is_abstention(text: str) -> bool:
    """Say whether the text says that it cannot answer; an empty text says nothing."""
    return are_abstentions([text])[0]


def are_abstentions(texts: Sequence[str]) -> list[bool]:
    """Say of each text whether it says that it cannot answer, in time linear in its length.

    Python's own engine is not used: it backtracks, and a hostile text of many line breaks would hold it for hours.
    """
    import polars

    series = polars.Series([readable(text) for text in texts], dtype=polars.String)
    found: list[bool] = series.str.contains(ABSTENTION_PATTERN).to_list()
    return found


def score_abstention(samples: Sequence[Sample]) -> list[Score]:
    """Score 1 where the answer abstains exactly where it should, else 0; `reason` names the case.

    The four reasons: answered, correct abstention, wrong abstention, missed abstention. An empty answer is
    wrong either way. A sample of which nobody said whether it can be answered is not applicable.
    """
    instrument = Instrument(
        NAME, CODE_VERSION, "", hashlib.sha256(ABSTENTION_PATTERN.encode()).hexdigest(), "nothing"
    ).id
    scores = []
    for sample, abstains in zip(samples, are_abstentions([sample.response for sample in samples]), strict=True):
        value, reason = judge(sample, abstains)
        status: Status = "not_applicable" if value is None else "ok"
        scores.append(Score(sample.id, NAME, value, status, reason, instrument))
    return scores


def judge(sample: Sample, abstains: bool) -> tuple[float | None, str]:
    """Give the value of one sample and the case it is."""
    if sample.answerable is None:
        return None, "nobody said whether the question can be answered"
    if not sample.response.strip():
        return 0.0, "empty answer"
    if abstains:
        return (0.0, "wrong abstention") if sample.answerable else (1.0, "correct abstention")
    return (1.0, "answered") if sample.answerable else (0.0, "missed abstention")
