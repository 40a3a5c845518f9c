"""Rules: the allowed values of a setting, and the messages for other values. `settings` uses them as annotations."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from bench.errors import InputError

SHOWN = 60  # largest number of characters of a text that a message shows
MOST_FOLDS = 1000
NAME, PATH = 250, 4096  # largest number of characters of a name in MLflow's databases, and of a path in Linux


@dataclass(frozen=True)
class Number:
    """A finite number in a range.

    Attributes:
        least: Smallest number of the range.
        most: Largest number of the range.
        excluded: Numbers in the range that are not allowed.
        wanted: Description of the range, for messages. By default it is built from the numbers.
    """

    least: float
    most: float
    excluded: tuple[float, ...] = ()
    wanted: str = ""

    def allows(self, value: Any) -> bool:
        """Return whether a value is an allowed number."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return is_number and self.least <= value <= self.most and value not in self.excluded

    def __str__(self) -> str:
        least = f"more than {self.least}" if self.least in self.excluded else f"{self.least} or more"
        return self.wanted or f"{least}, up to {self.most:,}"

    def check(self, key: str, value: Any) -> None:
        """Raise InputError if a value is not allowed."""
        if not self.allows(value):
            raise InputError(f"{key}: got {value}, wanted {self}")


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    options: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        """Return whether a value is one of the words."""
        return value in self.options

    def __str__(self) -> str:
        *others, last = self.options
        if len(others) > 2:
            return f"one of {', '.join(self.options)}"
        return f"{', '.join(others)} or {last}" if others else last

    def check(self, key: str, value: Any) -> None:
        """Raise InputError if a value is not one of the words."""
        if not self.allows(value):
            raise InputError(f"{key}: got {value!r}, wanted {self}")


@dataclass(frozen=True)
class Switch:
    """True or false. A number or word that Hydra would convert to a bool is not allowed.

    Attributes:
        words: Further values that are allowed.
    """

    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"one of {', '.join(('true', 'false', *self.words))}" if self.words else "true or false"

    def check(self, key: str, value: Any) -> None:
        """Raise InputError if a value is neither a bool nor one of the words."""
        if not isinstance(value, bool) and value not in self.words:
            raise InputError(f"{key}: got {value!r}, wanted {self}")


@dataclass(frozen=True)
class Text:
    """A text in one line that is not blank.

    Attributes:
        wanted: Description of the text, for messages.
        most: Largest number of characters.
    """

    wanted: str
    most: int = NAME

    def allows(self, value: Any) -> bool:
        """Return whether a value is an allowed text."""
        if not isinstance(value, str):
            return False
        return bool(value.strip()) and len(value) <= self.most and not _has_control_characters(value)

    def __str__(self) -> str:
        return self.wanted

    def check(self, key: str, value: str) -> None:
        """Raise InputError if a text is blank, too long, or has control characters."""
        if not value.strip():
            raise InputError(f"{key}: got an empty name, wanted {self}")
        if len(value) > self.most:
            got = f"{value[:SHOWN]!r}… of {len(value):,} characters"
            raise InputError(f"{key}: got {got}, wanted {self}, of at most {self.most:,}")
        if not self.allows(value):
            got = repr(value[:SHOWN]) + "…" * (len(value) > SHOWN)
            raise InputError(f"{key}: got {got}, wanted {self}, without line breaks and control characters")


@dataclass(frozen=True)
class Each:
    """A list of different values that each follow a rule.

    Attributes:
        rule: Rule of each value.
        wanted: Description of the list, for messages. By default it is built from the rule.
        null: Effect of null in place of an empty list, for messages.
        least: Smallest number of values.
    """

    rule: Number | Choice | Text
    wanted: str = ""
    null: str = ""
    least: int = 1

    def __str__(self) -> str:
        of_numbers = f"at least one value, each of {self.rule}"
        return self.wanted or (of_numbers if isinstance(self.rule, Number) else str(self.rule))

    def check(self, key: str, values: Sequence) -> None:
        """Raise InputError if the list is too short, or if a value is not allowed or occurs twice."""
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise InputError(f"{key}: got {values!r}, wanted a list of {self}")
        values = list(values)
        if len(values) < self.least:
            raise InputError(
                f"{key}: got {'none' if self.null else '[]'}, wanted {self}{self.null and f'; {self.null}'}"
            )
        for value in values:
            if not self.rule.allows(value):
                got = values if isinstance(self.rule, Number) else repr(value)
                raise InputError(f"{key}: got {_short(got)}, wanted {self}")
        for value in values:
            if values.count(value) > 1:
                raise InputError(f"{key}: got {_short(values)}, in which {value!r} occurs twice; give each value once")


@dataclass(frozen=True)
class Folds:
    """A number of folds, the name of a column, or the path of a file of nnU-Net."""

    def __str__(self) -> str:
        return f"2 to {MOST_FOLDS:,} folds, a column of the index, or a splits_final.json"

    def check(self, key: str, value: Any) -> None:
        """Raise InputError if a value is neither a number of folds nor a text."""
        if isinstance(value, str):
            Text(str(self), PATH).check(key, value)
        elif isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= MOST_FOLDS:
            raise InputError(f"{key}: got {_short(value)}, wanted {self}")


def _short(value: Any) -> str:
    """Format a value for a message, and cut a long text."""
    shown = str(value)
    return shown if len(shown) <= 4 * SHOWN else f"{shown[: 4 * SHOWN]}…"


def _has_control_characters(text: str) -> bool:
    """Return whether a text has line breaks, other control characters, or surrogates, which are not valid Unicode."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def rules_of(kind: type) -> dict[str, tuple[type, Any]]:
    """Return the type and the rule of each field of a dataclass. The rule of a section or a component is None."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: (get_type_hints(kind)[name], getattr(hint, "__metadata__", (None,))[0]) for name, hint in hints.items()
    }
