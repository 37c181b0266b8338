"""The functions that python_map.yaml calls: keyword arguments in, a JSON value out."""

import re
from collections import Counter
from typing import TypedDict


class WordCount(TypedDict):
    """How many words a text has, and how often each one occurs."""

    words: int
    frequency: dict[str, int]


class Merged(TypedDict):
    """The counts of several texts as one; the most frequent words come first."""

    words: int
    distinct: int
    most_frequent: list[str]


def count(text: str) -> WordCount:
    """Count the words of one text, whatever their case."""
    frequency = Counter(re.findall(r"\w+", text.lower()))
    print(f"counted {frequency.total()} words")
    return {"words": frequency.total(), "frequency": dict(frequency)}


def merge(counts: list[WordCount], top: int) -> Merged:
    """Add up several counts and name the `top` most frequent words, equal ones by alphabet."""
    frequency: Counter[str] = Counter()
    for each in counts:
        frequency.update(each["frequency"])
    ranked = sorted(frequency, key=lambda word: (-frequency[word], word))
    return {
        "words": frequency.total(),
        "distinct": len(frequency),
        "most_frequent": ranked[:top],
    }
