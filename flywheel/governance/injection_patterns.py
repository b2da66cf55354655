# ruff: noqa: E501 - a pattern reads best whole
"""How attempts to give a model other instructions are worded, kind by kind, in the regular expressions of RE2.

They are written for text as `injection.normalise` leaves it: small letters, single spaces, nothing invisible. No
lookaround and no backreference, so that DuckDB runs them over millions of questions; gaps are bounded, so that
Python's `re` stays linear too. Sources: OWASP LLM01 and the families of attacks in the literature since 2022.
"""

import base64
from collections.abc import Iterable


def loose(*words: str) -> str:
    """Match words also with the letters inside them swapped: the first, the last and the number of letters stay."""
    return "(?:" + "|".join(f"{w[0]}[{''.join(sorted(set(w[1:-1])))}]{{{len(w) - 2}}}{w[-1]}" for w in words) + ")"


def in_base64(*phrases: str) -> str:
    """Match phrases inside base64, in small letters, wherever in the encoded text they begin."""
    pieces = set()
    for phrase in phrases:
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + phrase.encode()).decode()
            first = -(-shift * 8 // 6)
            last = (shift + len(phrase)) * 8 // 6
            pieces.add(encoded[first:last].lower().replace("+", r"\+"))
    return "(?:" + "|".join(sorted(pieces)) + ")"


def words(most: int) -> str:
    """Match up to so many words, each followed by a space."""
    return rf"(?:[^ .!?:;]+ ){{0,{most}}}"


ORDERS = (
    r"""(?:^|[.!?:;,)\]>}"'*#|`\x{2013}\x{2014}-] ?|\b(?:please|then|now|also|first|must|kindly|instead|simply|just|you """
    r"(?:should|will|must|can|have to|need to)) )"
).replace(r"\x{2013}\x{2014}", "\u2013\u2014")
"""Where an order begins: at the start of a sentence, or after a word that orders. "How do I ..." is none."""


def joined(patterns: Iterable[str]) -> str:
    """Join patterns into one that matches where any of them does; those after an order share one look for it."""
    orders, others = [], []
    for pattern in patterns:
        if pattern.startswith(ORDERS):
            orders.append(pattern.removeprefix(ORDERS))
        else:
            others.append(f"(?:{pattern})")
    return "|".join([*others, *([f"{ORDERS}(?:{'|'.join(orders)})"] if orders else [])])


IGNORE = (
    rf"\b(?:{loose('ignore', 'disregard', 'forget', 'override', 'bypass', 'neglect', 'dismiss', 'discard')}"
    r"|ignoring|disregarding|forgetting|overriding|bypassing|(?:do not|don'?t|stop|no longer|never) "
    r"(?:follow|following|obey|obeying|listen(?:ing)? to)|pay no attention to|set aside|cancel)"
)
EARLIER = (
    rf"(?:{loose('previous', 'prior', 'above', 'earlier', 'preceding', 'initial', 'original')}|foregoing|former|past)"
)
RULES = (
    rf"(?:{loose('instructions', 'instruction', 'guidelines', 'directives', 'directions')}|rules|commands|orders|prompts?"
    r"|constraints|restrictions|programming|system (?:message|prompt)|messages?|context|guardrails|policies)\b"
)

IGNORE_INSTRUCTIONS = (
    rf"{IGNORE} {words(3)}(?:{EARLIER}|(?:the|your) system(?:'s)?|given you) (?:\w+ ){{0,2}}{RULES}",
    rf"{ORDERS}{IGNORE} {words(2)}(?:all|any|your|every|these|those|its)(?: of)? (?:the |your |these )?(?:\w+ ){{0,2}}{RULES}",
    rf"{ORDERS}{IGNORE} (?:the |these |those )?{RULES} (?:above|before|given|provided|that (?:came|come|precede)|you)",
    rf"{ORDERS}{IGNORE} {words(1)}(?:everything|anything|all|whatever|what|all that)(?: \w+){{0,4}} "
    r"(?:above|before this|before now|you were told|(?:been )?told you|you (?:have )?(?:been told|know|learned|read)|i (?:have )?said"
    r"|said (?:so far|before|earlier|above|until now|up to now)|so far|until now|up to now|previously|prior)\b",
    rf"{IGNORE} (?:everything|anything|all|whatever)(?: \w+){{0,3}} (?:you were (?:told|given|instructed|taught)|told to you)",
    rf"{ORDERS}{IGNORE} (?:all |any )?(?:the |these |those |your |retrieved |provided |supplied )+"
    r"(?:passages|documents|sources|context|excerpts) and\b",
    r"\b(?:your|the|a) (?:new|real|actual|true|only|updated) (?:task|job|goal|objective|instructions?|purpose|mission|role) "
    r"(?:is|are|now is|will be)\b.{0,3}(?:to|now|as follows|:)",
    r"\b(?:here are|follow|obey|these are) (?:your |the |my |these )?(?:new|updated|revised|actual|real) (?:instructions|rules|orders)",
    rf"{ORDERS}from now on,? (?:you|your|answer|respond|reply|act|only|always|never|ignore|do not|don't)\b",
    r"\b(?:answer|respond|reply)(?:ing)? (?:\w+ ){0,3}without (?:using|consulting|looking at|reading|regard (?:to|for)) "
    r"(?:the|any|your|those) (?:\w+ )?(?:passages|context|documents|sources|excerpts|records?)",
    r"\b(?:do not|don't|stop) (?:use|using|rely(?:ing)? on|consult(?:ing)?|look(?:ing)? at) (?:the|any|those|your) "
    r"(?:retrieved|provided|given|supplied) (?:passages|context|documents|sources)",
    r"\b(?:ignorier(?:e|en sie|t)|vergiss|vergesst|vergessen sie|missachte|missachten sie|übergehe|beachte nicht)\b"
    r" ?(?:\S+ ){0,5}?\S{0,20}(?:anweisung|instruktion|regel|vorgabe|befehl|richtlinie|anleitung|system-?prompt)",
    r"\b(?:ignorez?|ignores|oublie[zs]?|fais abstraction de|faites abstraction (?:de|des)|ne (?:tiens|tenez) (?:pas|plus) compte"
    r"|n[e'’] ?(?:suis|suivez|obéis|obéissez) (?:pas|plus)) (?:\S+ ){0,5}(?:instructions|consignes|règles|directives|ordres)"
    r"(?: \S+)? (?:précédent|antérieur|ci-dessus|initial|du système|donné|reçu)",
    r"\b(?:oublie[zs]?|ignorez|ignore) (?:toutes )?(?:tes|vos) (?:\S+ )?(?:instructions|consignes|règles|directives)",
    r"\b(?:ignor[ae]|ignor[ae]d|olvid[ae]|olvídate de|haz caso omiso (?:de|a)|haga caso omiso (?:de|a)|desestima|no sigas|pasa por alto)"
    r" (?:\S+ ){0,4}(?:instrucciones|indicaciones|reglas|órdenes|ordenes|directrices|instrucción)",
    r"\b(?:ignora|ignorate|dimentica|dimenticate|trascura|non seguire|non tenere conto|scorda)"
    r" (?:\S+ ){0,4}(?:istruzioni|regole|indicazioni|direttive|comandi|ordini)",
    r"\b(?:ignor[ea]|ignorem|esqueç?[ea]|esquece|desconsider[ea]|desrespeite|não siga)"
    r" (?:\S+ ){0,4}(?:instruções|instrucoes|regras|orientações|ordens|diretrizes|comandos)",
    r"\b(?:negeer|vergeet|sla|volg) (?:\S+ ){0,4}(?:instructies|opdrachten|regels|aanwijzingen|richtlijnen|bevelen)"
    r"(?: (?:over|niet|hierboven|van))?",
    r"(?:игнорируй|проигнорируй|забудь|не обращай(?:те)? внимания на|отбрось|отмени|не следуй)(?:те)? (?:\S+ ){0,4}"
    r"(?:инструкци|указани|правил|команд|директив|сказанн)",
    r"(?:zignoruj|ignoruj|zapomnij|pomiń)(?:cie)? (?:\S+ ){0,4}(?:instrukcj|polece|reguł|zasad|wytyczn)",
    r"(?:ignorera|glöm|strunta i|ignorer|glem) (?:\S+ ){0,4}(?:instruktion|instruks|regler|anvisning)",
    r"(?:talimat|komut|kural)\S* (?:\S+ ){0,2}(?:yok ?say|görmezden gel|unut|dikkate alma)",
    r"(?:忽略|无视|忽视|不要理会|不要遵[守循]|忘记|忘掉|跳过|無視|忽視|忘記|不理會|撤销).{0,12}"
    r"(?:指令|指示|说明|說明|规则|規則|提示|要求|命令|设定|設定|约束)",
    r"(?:指示|命令|ルール|プロンプト|設定|制約|指令|規則).{0,8}(?:無視|忘れ|破棄|従わない)",
    r"(?:지시|명령|규칙|프롬프트|지침).{0,10}(?:무시|잊)",
    r"(?:تجاهل|انس|تجاهلي).{0,30}(?:تعليمات|الأوامر|القواعد|التوجيهات)",
    r"(?:निर्देश|आदेश|नियम).{0,20}(?:अनदेखा|अनदेखी|नज़रअंदाज़|भूल)",
)

SECRET_RULES = (
    rf"(?:{loose('system')} (?:{loose('prompt')}|message|instructions?)|(?:initial|hidden|secret|original|internal|confidential|"
    r"first|starting|full|exact|complete|entire|developer|base) (?:system )?(?:prompt|instructions?|rules|guidelines|message|"
    r"directives)|pre-?prompt|pre-?amble|system-?prompt|prompt template)"
)
PROMPT_LEAK = (
    rf"{ORDERS}(?:print|{loose('reveal')}|show|tell|display|output|repeat|give|leak|expose|disclose|share|write|dump|list|copy"
    r"|paste|return|recite|translate|summari[sz]e|encode|send|read|type|spell|quote|provide|state|describe) "
    rf"(?:out |us |me |back )?{words(3)}(?:your|the|this|its|of your) {words(1)}{SECRET_RULES}",
    rf"\b(?:what (?:is|are|was|were|does)|what's|reveal|print|leak|expose|see|show me|tell me|know|give me) {words(2)}your {words(1)}"
    rf"(?:{SECRET_RULES}|(?:prompt|instructions)\b)",
    r"\byour (?:hidden|secret|internal|confidential|undisclosed) (?:\w+ )?(?:prompts?|rules|instructions|guidelines|directives|policies)",
    rf"{ORDERS}(?:repeat|print|output|copy|recite|echo|reproduce|quote|write down|paste|type|return) (?:me |back |out )?{words(2)}"
    r"(?:text|words|everything|lines|content|sentences?|paragraphs?|prompt|messages?|instructions|all|conversation) "
    r"(?:that (?:is|are|was|were|came|comes?) )?(?:above|before this|before (?:the|my|our)|preceding|verbatim|word for word|starting (?:with|from)"
    r"|beginning with|from the (?:start|beginning|top))",
    r"""\b(?:starting|beginning|begins|starts) (?:with|from|at) (?:the (?:words|phrase) )?["'“‘«„`]?you are\b""",
    r"\bwhat (?:were|are|was|have) (?:you|your) (?:\w+ ){0,2}(?:instructed|told to|told not|programmed|given as|initial instructions|not allowed to)",
    r"\b(?:what|which|everything|anything) (?:\w+ ){0,3}(?:in|inside|above|before) (?:your|the) (?:context window|system prompt)",
    r"\b(?:your|system) (?:\w+ )?(?:prompt|instructions|rules|configuration|context window).{0,30}"
    r"(?:verbatim|word[- ]for[- ]word|word by word|character by character|in full|unchanged|code block)",
    r"\b(?:zeig|gib|nenne|verrate|drucke|wiederhole|sag|übersetze)\S* .{0,40}"
    r"(?:system-?prompt|system-?anweisung|systemnachricht|(?:deine|ihre) (?:\S+ )?(?:anweisungen|vorgaben|instruktionen))",
    r"\b(?:muestra|muéstrame|dime|revela|imprime|repite) .{0,40}(?:prompt del sistema|prompt de sistema|tus (?:\S+ )?instrucciones)",
    r"\b(?:affiche|montre|révèle|donne|répète|imprime)[rz]?(?:-moi)? .{0,40}(?:prompt (?:du )?système|invite système|(?:tes|vos) (?:\S+ )?(?:instructions|consignes))",
    r"\b(?:mostra(?:mi)?|rivela|stampa|ripeti|dimmi) .{0,40}(?:prompt di sistema|tue istruzioni)",
    r"\b(?:mostre|revele|imprima|repita|diga) .{0,40}(?:prompt d[oe] sistema|suas instruções)",
    r"(?:покажи|выведи|раскрой|повтори|напечатай).{0,40}(?:системн\S+ (?:промпт|сообщени|инструкци|подсказк)|свои инструкции)",
    r"(?:显示|输出|打印|告诉我|重复|泄露|透露|顯示|輸出).{0,12}(?:系统提示|系統提示|系统指令|提示词|初始指令|初始提示)",
    r"(?:システムプロンプト|初期指示|システムメッセージ).{0,12}(?:表示|教え|出力|見せ|繰り返)",
)

GRADER = r"(?:evaluator|grader|rater|assessor|scorer|annotator|auto-?rater)s?"
JUDGE = rf"(?:{GRADER}|judges?|reviewers?|auditors?|classifiers?|detectors?)"
ANSWER = r"(?:answer|response|output|reply|completion|submission|summary)"
GOOD = r"(?:faithful|grounded|supported|verified|hallucination[- ]free|fully correct|entailed|approved|accurate and complete)"
TOP_MARK = (
    r"(?:(?:5|10|100|1(?:\.0+)?) ?(?:/|out of|of) ?(?:5|10|100|1(?:\.0+)?)\b|full marks|(?:the )?(?:full|maximum|max|highest|top|best|perfect)"
    r"(?: possible)? (?:scores?|ratings?|grades?|marks?)|a perfect (?:5|10|score)|(?:a )?(?:score|rating|grade) of (?:1(?:\.0+)?|5|10|100)\b)"
)
JUDGE_MANIPULATION = (
    rf"\b(?:note|message|instructions?|hint|attention|reminder|notice|memo|information|dear|hey|hello) ?(?:to|for|,)? "
    rf"(?:the |any |all |our |an? )?(?:\w+ )?(?:{GRADER}\b|{JUDGE} ?:|(?:llm|ai|automated|model)[ -](?:judge|reviewer|auditor|evaluator))",
    rf"\bif you are (?:an? |the )?(?:llm|ai|automated|automatic|language model|model|gpt)[ -](?:\w+ )?{JUDGE}",
    rf"\b(?:if|when|as|since|because) you are (?:an? |the )?(?:\w+ )?{JUDGE}\b.{{0,30}}(?:output|give|assign|return|score|mark|rate|label|answer)",
    rf"{ORDERS}(?:to )?(?:give|assign|award|rate|score|mark|grade) (?:it|this|the|my|that|every)(?: {ANSWER})?(?: \w+)? (?:as |with |at )?(?:a )?{TOP_MARK}",
    rf"\b(?:give|assign|award|rate|score|mark|grade|deserves?|worth) (?:this|the|my|that|every|all|any) (?:\w+ )?{ANSWER}s? .{{0,12}}{TOP_MARK}",
    r"""["'](?:is_?)?(?:faithful(?:ness)?|grounded(?:ness)?|hallucinat\w+|unsupported_?\w*|answer_?relevan\w+)["'] ?: ?["']?"""
    r"""(?:pass|true|false|faithful|supported|yes|no|none|grounded|[0-9])""",
    r"""["'](?:verdict|judg(?:e)?ment|grade)["'] ?: ?["']?(?:pass|true|faithful|supported|correct|yes|grounded|[0-9])""",
    r"\[/?(?:grader|judge|evaluator|evaluation|eval|verdict|rater|scoring|grading)(?: \w+)?\]",
    r"</?(?:verdict|grade|grading|evaluation|evaluator|judg(?:e)?ment|judge|rating_?\w*|faithful\w*)>",
    r"< ?score ?> ?[0-9.]+ ?< ?/ ?score ?>",
    rf"\b(?:do not|don'?t|never|must not|should not) (?:flag|penali[sz]e|deduct|downgrade|mark down|criticise|criticize)\b.{{0,30}}"
    rf"(?:{ANSWER}|hallucinat|unsupported|unfaithful|points|claims)",
    r"\b(?:output|return|answer|respond|print|use|assign|emit|choose|select)(?: with| only)? (?:only )?(?:the |a )?"
    r"(?:label|verdict|judg(?:e)?ment|classification|rating|score|grade)s?(?: of| as|:)? ?"
    r"""["'“`]?(?:supported|faithful|pass(?:ed)?\b|correct|grounded|entail|[15](?:\.0)?\b|10\b|true\b|positive|not_?hallucinated)""",
    rf"\b(?:this|the|my) {ANSWER} (?:below |above )?(?:is|was|has been|should be|must be|shall be)"
    r"(?: considered| rated| judged| marked| scored| labell?ed| treated)?(?: as)?(?: fully| completely| entirely| 100 ?%| perfectly| already| wholly)? "
    rf"{GOOD}",
    rf"\b(?:mark|treat|label|consider|rate|judge|count|classify|score) (?:all|every|each|any|the|this|it|these|them) (?:\w+ ){{0,4}}(?:as )?(?:fully )?{GOOD}",
    r"\bscores? ?(?:=|:|is|of) ?(?:1(?:\.0+)?|5|10|100)(?:/\d+)? (?:for|on|in) (?:all|every|each|any) (?:\w+ )?(?:metric|criteri|question|categor|dimension|sample|case|answer)",
    r"(?:bewerte|bewertet|bewerten sie) .{0,40}(?:höchstnote|volle punktzahl|bestnote|5/5|10/10|maximal)|(?:给|給).{0,12}(?:满分|滿分|最高分)",
)

ROLE = r"(?:system|assistant|developer|admin|administrator|im_start|im_end)"
DELIMITER_BREAK = (
    r"<\|[a-z_ ]{2,30}\|>",
    r"\[ ?/? ?inst ?\]|<<? ?/? ?sys ?>>",
    r"<(?:start|end)_of_turn>|<\|?(?:bos|eos|endoftext|eot)\|?>|</s> ?<s>|<｜[^｜]{2,30}｜>",
    rf"</? ?{ROLE}(?:[_ -](?:prompt|message|instructions?|note|override))? ?>",
    r"</ ?(?:context|contexts|documents?|passages?|user|user_input|query|question|instructions?|prompt|data|sources?|input|article|answer)> ?"
    r"(?:</|<(?:system|assistant|instructions?|verdict|admin|user|answer)|now |ignore|you |new |important)",
    r"(?:^|[ \"'`])#{2,} ?(?:(?:new |end of |begin |end |start of |updated |real |actual )(?:system |user )?"
    r"(?:instructions?|prompt|passages?|contexts?|documents?|input|task|data|conversation|sources?)"
    r"|(?:system|instructions?|assistant|human|user|response|override|admin)(?: prompt| message| note)? ?:)",
    r"(?:[-=*_~]{3}|[\[<({]) ?(?:end|begin|start|beginning) (?:of )?(?:the )?(?:retrieved |user |system |new )?"
    r"(?:passages?|contexts?|documents?|prompt|instructions?|input|conversation|sources|query|question)\b",
    r"(?:^|[\"'`.!?\])}>|#-] ?|\\n ?)(?:system|assistant|developer|admin)(?: prompt| message| override| note| instruction)?s? ?: ?"
    r"(?:you|ignore|from now|new |override|reveal|the user|disregard|always|never|do |sure|grant|enable|respond|answer|all )",
    r"\[(?:system|admin|developer|assistant)(?: (?:message|prompt|note|override|instructions?|notice|update))\]|\[system\] ?:?",
    r"\{\{ ?[#/~]?(?:system|user|assistant|prompt|instructions?)[~ ]{0,2}\}\}",
    r"\\n ?\\n ?(?:human|assistant|system|user) ?:",
    r"(?:^|[.\"'`] ?)(?:end of (?:context|passages|documents|user input|prompt|data)|new (?:system )?(?:instructions?|prompt|task)|(?:system|priority) override) ?:",
)

MODE = r"(?:developer|god|jailbreak|jailbroken|dan|debug|admin|maintenance|unrestricted|unfiltered|sudo|root|diagnostic|evil|opposite|training)"
FREED = (
    r"(?:without (?:any )?(?:\w+ )?(?:restrictions?|rules|limits|limitations|filters?|guidelines|censorship|ethics|morals|guardrails|boundaries)"
    r"|with no (?:\w+ )?(?:restrictions?|rules|limits|limitations|filters?|guidelines|censorship|ethics|morals|guardrails|boundaries)"
    r"|unrestricted|unfiltered|uncensored|jailbroken|amoral|not bound by|no longer bound|free (?:from|of) (?:all |any |your )?(?:rules|restrictions|limits|filters|guidelines)"
    r"|(?:has|have|having) no (?:\w+ )?(?:restrictions?|rules|limits|limitations|filters?|guidelines|morals|ethics))"
)
ROLE_PLAY = (
    rf"\byou(?:'re| are| will be|'ll be)? (?:now |going to be |to be |no longer \S+ but )?(?:{words(6)}){FREED}",
    r"\b(?:you are|you're|act as|become|respond as|answer as|pretend to be|acting as) (?:now )?(?:dan|stan|dude|aim|mongo tom|developergpt|chaosgpt|evilbot|betterdan)\b ?(?:[,.(:!-]|$|who\b|mode|and)",
    r"\bdo anything now\b",
    rf"\byou(?:'re| are)(?: now)? (?:in|entering|operating in|running in|switched to|under) (?:\w+ )?{MODE} mode",
    r"\b(?:jailbreak|jailbroken|dan|unrestricted|unfiltered|evil|god) mode (?:is )?(?:now )?(?:enabled|activated|on|engaged|unlocked|active)",
    rf"{ORDERS}(?:enter|enable|activate|switch (?:in)?to|go into|unlock|engage) (?:your )?{MODE} mode",
    rf"\b(?:pretend|act|behave|imagine|role-?play|respond|answer|simulate|speak|talk|write)\b {words(8)}{FREED}",
    rf"{ORDERS}(?:stay|remain|keep|always be) in (?:this |that |your )?(?:character|role|persona)\b",
    r"\b(?:stay|remain) in (?:this |your )?(?:character|role|persona) (?:for the rest|until|no matter|at all times|throughout (?:this|the|our)|from now)",
    r"\b(?:let'?s|we(?:'ll| will| are going to)?|i want(?: you)? to|we are) (?:now )?play (?:a |the |this |another )?(?:\w+ )?(?:game|role|roleplay)\b.{0,30}"
    r"\b(?:you (?:are|play|act|pretend|will be|become|must|take|have)|you're|your role|as my)",
    r"\b(?:my|your|a) (?:late|deceased|dead|dying) (?:grand(?:mother|ma|father|pa|dad|mom)|mother|father|uncle|granny|nana)\b.{0,80}"
    r"\b(?:used to|would always|would)\b.{0,20}(?:read|tell|told|sing|recite|whisper)",
    r"\b(?:act|pretend|behave|talk|speak) (?:as|like|to be|that you are|you are|you're) (?:if you were )?(?:my )?(?:late|deceased|dead) (?:grand|mother|father|uncle|aunt)",
    r"\b(?:from now on|for the rest of (?:this|the|our) (?:chat|conversation|session|dialogue)|starting now|henceforth)\b.{0,40}"
    r"\b(?:act as|you are|you're|pretend|you will be|play|persona|speak as|respond as|answer as|in character)\b",
    r"\b(?:pretend|imagine|act like|act as if|assume|suppose)(?: that)? (?:you (?:are|were|have|do)|you're|there are|there is|your)"
    r" (?:\w+ ){0,4}(?:no (?:rules|restrictions|filters?|guidelines|limits|safety)|not an? (?:ai|assistant|language model)|evil|hacker)",
    r"\b(?:turn off|disable|deactivate|drop|remove|bypass|switch off|suspend|lift) (?:all )?(?:of )?your (?:\w+ )?(?:safety|filters?|restrictions|"
    r"guardrails|guidelines|content|ethical|moderation|censorship|limits|limitations|safeguards)",
    r"\b(?:du bist (?:jetzt|nun|ab jetzt) .{0,40}(?:ohne (?:regeln|einschränkungen|beschränkungen|filter)))|(?:你现在是|你是).{0,20}(?:没有|不受).{0,6}(?:限制|约束|规则)",
    r"\b(?:tu es|vous êtes) (?:maintenant|désormais) .{0,40}sans (?:aucune )?(?:restriction|règle|limite|filtre)"
    r"|\b(?:ahora eres|a partir de ahora eres) .{0,40}(?:sin (?:restricciones|reglas|límites|filtros))",
)

THEIRS = r"(?:other|another|previous|different|last|recent|all|every|any)"
SECRETS = r"(?:api[ _-]?keys?|passwords?|credentials|secret keys?|access (?:tokens?|keys?)|auth tokens?|secrets|environment variables|env vars|private keys?|connection strings?)"
OUR_TEXTS = (
    r"(?:(?:this |the |our |my |whole |entire |full )*(?:conversation|chat)(?: history| log)?|(?:the |your )?system prompt|api keys?|passwords?|credentials"
    r"|(?:the |all |every |your |these )*(?:retrieved|internal|confidential|private) (?:\w+ )?(?:passages|documents|context|data|information|records)|user data|(?:the |your )context)"
)
EXFILTRATION = (
    r"!\[[^\]]{0,80}\] ?\( ?(?:https?:)?//[^) ]{0,200}[?&=/][^)]{0,60}[<{\[$%]",
    r"\b(?:end|append|include|add|embed|render|insert|finish|output|display|begin|start|put)\b.{0,50}!\[[^\]]{0,80}\] ?\( ?(?:https?:)?//",
    r"\b(?:append|add|put|include|encode|insert|embed)(?:ed|ing)? .{0,60}\b(?:to|in|into|as|at the end of) (?:the |this |a |an )?(?:\w+ )?(?:url|link|query string|"
    r"query parameter|image (?:url|link|address)|markdown image)\b",
    rf"{ORDERS}(?:send|post|upload|forward|transmit|e-?mail|mail|leak|exfiltrate|submit|report|copy) {words(2)}{OUR_TEXTS}.{{0,30}} "
    r"(?:to|at|via|into|using|through) .{0,20}(?:https?://|\S{1,60}@\S{1,60}|www\.|\S{1,40}\.(?:com|net|org|io|example)|(?:my|this|the following|an external) (?:\w+ )?(?:url|address|webhook|server|link|endpoint|site))",
    rf"\b(?:list|show|give|tell|reveal|print|output|return|display|dump|share|what (?:did|were|was|are|have|has)|repeat|summari[sz]e|leak)\b {words(6)}"
    r"(?:user[_ -]?ids?|user[_ -]?names|questions?|quer(?:y|ies)|messages?|conversations?|chats?|prompts?|e-?mail(?: addresse)?s?|sessions?|names|addresses|chat history) "
    rf"(?:\w+ ){{0,6}}(?:of|from|by|for|belonging to|asked by|sent by) (?:\w+ ){{0,2}}{THEIRS} (?:\w+ ){{0,2}}(?:users?|customers?|tenants?|clients?|sessions?|conversations?|chats?|employees)\b",
    r"\b(?:what|which) (?:\w+ ){0,4}(?:did|have|has) (?:the )?(?:other|another|previous|last) (?:\w+ )?(?:users?|customers?|tenants?|clients?) (?:ask|asked|type|typed|say|said|write|written|upload|uploaded|share|shared)\b",
    r"\b(?:users?|persons?|customers?|clients?|people|visitors?) (?:who (?:\w+ )?(?:asked|used|chatted|wrote|spoke) (?:\w+ ){0,3})?(?:right |just )?before me\b",
    r"\b(?:reveal|show|list|give|dump|print|leak|export|retrieve|display|output|read|fetch|return)\b (?:me )?(?:\w+ ){0,2}(?:documents|data|records|files|traces|passages|chunks|contents?)"
    r" (?:\w+ ){0,2}(?:of|from|for|belonging to|in|owned by) (?:the |all |every )?(?:other |another |different )?tenants?\b",
    rf"\b(?:reveal|print|tell me|give me|show me|output|dump|leak|list|disclose|expose|send me|read out|share)\b (?:\w+ ){{0,2}}(?:your|(?:the |any |all )*(?:admin|system|root|database|server|internal|stored|production|hidden|company|environment)(?:'s)?) "
    rf"(?:\w+ ){{0,3}}{SECRETS}",
    rf"\b(?:what is|what are|what's|do you know|do you have) your (?:\w+ ){{0,2}}{SECRETS}",
    rf"{ORDERS}(?:reveal|print|dump|leak|output|list|disclose|expose) (?:all |any |every |the )*(?:\w+ )?{SECRETS}",
    r"\b(?:dump|export|print|output|reveal|list|show me|give me|return|leak) (?:me )?(?:your |the |all |every |of )*(?:entire|whole|full|complete|all|every)(?: of)?(?: the| your)? (?:\w+ )?"
    r"(?:knowledge base|vector (?:store|database)|training data|(?:documents?|chunks?|passages?) (?:in|from) (?:your|the) (?:index|database|corpus|knowledge base|store))",
    r"\b(?:zeig|nenne|gib|liste)\S* .{0,40}(?:passwörter|zugangsdaten|api-schlüssel|(?:fragen|daten|nachrichten) (?:der|anderer) (?:anderen )?(?:nutzer|kunden|benutzer))",
    r"(?:显示|列出|输出|告诉我).{0,12}(?:其他用户|所有用户|别的用户|密码|密钥)",
)

CODE = r"(?:base-?64|rot-?13|rot13|hex(?:adecimal)?|morse(?: code)?|caesar(?: cipher)?|leetspeak|pig latin|reversed|backwards)"
ENCODED = (
    r"\b(?:decode|decrypt|deobfuscate|unscramble|base64[- ]decode|de-?cipher|unhex|un-?reverse)\b.{0,60}"
    r"\b(?:follow|execute|obey|run|act on|comply|carry out|do what|perform|apply)\b.{0,40}[a-z0-9+/=_-]{16}",
    r"\b(?:decode|decrypt|deobfuscate|unscramble|decipher)\b.{0,30}[a-z0-9+/=_-]{16}.{0,120}\b(?:follow|execute|obey|act on|comply|carry out|do what|do as)\b",
    rf"\b(?:follow|obey|carry out|comply with|act on|execute) (?:\w+ ){{0,4}}{CODE}(?:[- ]?(?:encoded|encrypted|coded))?(?: \w+){{0,2}} (?:instructions?|message|prompt|orders?|request)",
    rf"\b{CODE}(?:[- ]?(?:encoded|encrypted|coded))? (?:\w+ )?(?:instructions?|commands?|prompt|message|text|string|request|question).{{0,40}}"
    r"\b(?:and|then) (?:follow|execute|obey|carry (?:it )?out|comply|do (?:what|as)|act on)",
    rf"\b(?:follow|obey|execute|carry out) the (?:instructions?|orders?|commands?|request) (?:\w+ ){{0,3}}(?:in|written in|encoded (?:in|as|with)|hidden in) (?:\w+ )?{CODE}",
    in_base64("ignore all", "Ignore all", "ignore previous", "Ignore previous", "ignore the", "Ignore the", "previous instructions",
              "system prompt", "all instructions", "your instructions"),
    "[\U000e0020-\U000e007e]{8}",
)  # fmt: skip

DESTRUCTIVE = (
    r"(?:drop (?:table|database|schema|index|view)|truncate (?:table )?\w+|delete from|alter table|insert into|update \w+ set|union (?:all )?select|"
    r"select \* from|grant all|exec xp_|rm -r?f|rm -fr|curl (?:-\w+ )?\S|wget |nc -|bash -|sh -c|chmod [0-7]{3}|mkfs|shutdown -|dd if=|"
    r":\(\) ?\{|powershell|invoke-expression|cat /etc/|format c:|del /[fsq]|os\.(?:system|popen|remove)|subprocess|shutil\.rmtree|eval\(|exec\(|__import__|drop_|delete_)"
)
TOOL_ABUSE = (
    rf"{ORDERS}(?:run|execute|perform|issue|invoke|launch|call|eval(?:uate)?|type|enter) (?:the |this |a |an )?(?:\w+ ){{0,3}}[`'\"(]{{0,3}}{DESTRUCTIVE}",
    r"""["'`)] ?; ?(?:drop|delete|truncate|insert|update|alter|exec|shutdown) (?:table|from|into|database|\w+ set|xp_)?""",
    r"\brm -(?:rf|fr|r -f) (?:--no-preserve-root )?[/~*]\S{0,30}.{0,30}\b(?:and|then) (?:tell|report|show|give|return|print)",
    rf"{ORDERS}(?:use|call|invoke|trigger|run|access) (?:your|the|any|every|all)(?: available)? (?:\w+ ){{0,3}}(?:tools?|functions?|plugins?|apis?|actions?|shell|terminal|interpreter|browser|e-?mail)"
    r" (?:\w+ )?(?:to|and|with|so that) (?:\w+ ){0,2}(?:delete|send|transfer|e-?mail|remove|drop|purchase|buy|wire|refund|pay|wipe|erase|shut|execute|run|fetch|open|visit|post|upload|read|download|list)",
    r"\b(?:use|call|invoke|trigger) your (?:\w+ ){0,2}(?:tools?|functions?|plugins?|actions?|shell|terminal|code interpreter) to\b",
    rf"{ORDERS}(?:call|invoke|trigger|run|execute|use) (?:the )?(?:\w+ )?[`'\"]?(?:delete|send|transfer|execute|exec|drop|wipe|refund|shutdown|run|remove|create|update|grant|reset|write|upload|issue|purge)_\w+",
    r"</?(?:tool_calls?|function_calls?|invoke|tool_use|tool_code|function=\w+)[ >]|\"(?:tool_calls?|function_call)\" ?:",
    rf"{ORDERS}(?:transfer|wire|send|pay) (?:me )?(?:[$€£] ?)?\d[\d.,]* ?(?:usd|eur|gbp|dollars|euros?|pounds|btc|eth|bitcoins?)? ?(?:to|into|from)\b",
    rf"{ORDERS}(?:delete|wipe|erase|purge|destroy|drop|overwrite|remove) (?:all|every|the entire|the whole|everything|each)(?: of)? ?(?:\w+ ){{0,3}}"
    r"(?:database|index|files?|records?|documents?|collections?|vector store|knowledge base|logs?|users?|tables?|backups?|data|accounts?|e-?mails?)\b",
    rf"{ORDERS}(?:refund|reset|grant|elevate|disable|unlock|approve) (?:\w+ ){{0,3}}(?:my order|my account|admin (?:rights|access|privileges)|(?:the )?password of|all (?:orders|accounts|requests)|two-factor)",
    r"(?:führe|führ|starte) .{0,30}(?:drop table|rm -rf|delete from)|(?:执行|运行).{0,10}(?:drop table|rm -rf|delete from|shell|删除)",
)

PATTERNS: tuple[tuple[str, str], ...] = tuple(
    (kind, pattern)
    for kind, patterns in (
        ("ignore_instructions", IGNORE_INSTRUCTIONS),
        ("prompt_leak", PROMPT_LEAK),
        ("judge_manipulation", JUDGE_MANIPULATION),
        ("delimiter_break", DELIMITER_BREAK),
        ("role_play", ROLE_PLAY),
        ("exfiltration", EXFILTRATION),
        ("encoded", ENCODED),
        ("tool_abuse", TOOL_ABUSE),
    )
    for pattern in patterns
)
"""Each kind of attempt and one way to word it."""
