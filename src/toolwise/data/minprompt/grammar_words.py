"""Words and word forms that question grammar needs; verb forms come from LemmInflect's dictionary."""

from __future__ import annotations

from functools import cache
from typing import Literal

from toolwise.data.minprompt.extras import need

Form = Literal["be", "have", "do", "modal", "past", "participle", "third", "plain"]

BE = {"am", "is", "are", "was", "were"}
HAVE = {"has", "have", "had"}
DO = {"do", "does", "did"}
MODALS = {"can", "could", "will", "would", "may", "might", "must", "should", "shall"}
DETERMINERS = {"a", "an", "the", "this", "these", "that", "those", "its", "their", "his", "her", "some",
"most",
               "many", "all", "each", "every", "both", "several", "no", "any", "one", "our", "another",
               "other", "such",
               "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}  # fmt: skip
PRONOUNS = {"he", "she", "it", "they", "we", "you", "i", "this", "these", "that", "those", "there", "one",
"who",
            "which", "what", "here", "others", "another", "each", "both"}  # fmt: skip
POSSESSIVES = {"his", "her", "its", "their", "our", "my"}
PREPOSITIONS = {"in", "on", "at", "by", "for", "with", "from", "to", "of", "as", "into", "during",
"after", "before",
                "since", "until", "under", "over", "between", "among", "through", "near", "against",
                "about", "around",
                "across", "along", "within", "without", "throughout", "upon", "toward", "towards",
                "outside", "inside",
                "behind", "beyond", "above", "below", "via", "per", "onto"}  # fmt: skip
TAIL = PREPOSITIONS - {"of", "per"}
"""Prepositions with which what follows the answer may begin: it then belongs to the verb."""
SPLITTERS = {"that", "which", "who", "whom", "whose", "where", "when", "because", "although", "though",
"while",
             "if", "whether", "and", "but", "or", "so", "than", "whereas", "how", "why", "what",
             "as"}  # fmt: skip
SOFT = {"and", "or", "as", "than", "but"}
"""Of these, those that may also join mere words."""
ADVERBS = {"also", "later", "then", "still", "often", "soon", "eventually", "first", "now", "once",
"never", "always",
           "only", "even", "just", "currently", "already", "thus", "ever", "again", "further"}  # fmt: skip
ABOUT = {"about", "approximately", "around", "over", "nearly", "almost", "roughly", "some", "exactly", "only",
         "up", "estimated", "an"}  # fmt: skip
TRANSPARENT = {"the", "a", "an", "about", "approximately", "around", "nearly", "almost", "roughly", "over"}


@cache
def forms(word: str) -> frozenset[Form]:
    """Which forms of a verb a lower-case word can be; empty if it is none."""
    for words, form in ((BE, "be"), (HAVE, "have"), (DO, "do"), (MODALS, "modal")):
        if word in words:
            return frozenset({form})  # type: ignore[arg-type]
    if not word.isalpha() or word in PREPOSITIONS or word in DETERMINERS or word in ADVERBS:
        return frozenset()
    need("lemminflect", "minprompt")
    import lemminflect

    found: set[Form] = set()
    tags: dict[str, Form] = {"VBD": "past", "VBN": "participle", "VBZ": "third", "VBP": "plain"}
    for lemma in lemminflect.getAllLemmas(word, upos="VERB").get("VERB", ()):
        for tag, inflected in lemminflect.getAllInflections(lemma, upos="VERB").items():
            if tag in tags and word in inflected:
                found.add(tags[tag])
    if "past" in found and word.endswith("ed"):
        found.add("participle")  # the dictionary has no forms that are as the past is
    return frozenset(found)


@cache
def is_noun(word: str) -> bool:
    """Whether a lower-case word can be a noun."""
    need("lemminflect", "minprompt")
    import lemminflect

    return "NOUN" in lemminflect.getAllLemmas(word)


@cache
def is_common(word: str) -> bool:
    """Whether a lower-case word stands in the dictionary."""
    need("lemminflect", "minprompt")
    import lemminflect

    return bool(lemminflect.getAllLemmas(word))


@cache
def lemma(word: str) -> str:
    """The plain form of a verb."""
    need("lemminflect", "minprompt")
    import lemminflect

    found = lemminflect.getLemma(word, upos="VERB")
    return str(found[0]) if found else word


def is_adverb(word: str) -> bool:
    """Whether a lower-case word is an adverb, as far as its form tells."""
    return word in ADVERBS or (word.endswith("ly") and len(word) > 4)
