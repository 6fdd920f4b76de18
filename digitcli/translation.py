"""Messages in the reader's language: Chinese if the environment chooses it, otherwise English."""

import gettext
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

Gettext = Callable[[str], str]
"""Returns the translation of a message; placeholders such as ``{name}`` are filled in after it."""

LOCALE = Path(__file__).parent / "locale"
CHINESE = "zh_CN"

_SAMPLE = "这是损失"
"""Text that an output must be able to encode to show Chinese."""


def message(text: str) -> str:
    """Returns ``text``; the call enters it into the catalog, for code that translates it later."""
    return text


def english(text: str) -> str:
    """Returns a message as it is."""
    return text


def chinese() -> Gettext:
    """Returns the translation of messages into Chinese."""
    return gettext.translation("digitcli", LOCALE, [CHINESE]).gettext


def output_gettext() -> Gettext:
    """Returns the translation of messages for standard output.

    English, too, where the encoding of standard output has no Chinese characters.
    """
    encoding = sys.stdout.encoding or "utf-8"  # streams in memory have none
    try:
        _SAMPLE.encode(encoding)
    except UnicodeEncodeError:
        return english
    return chinese() if is_chinese(os.environ) else english


def is_chinese(environment: Mapping[str, str]) -> bool:
    """Returns True if the first language of the environment that digitcli has is Chinese.

    The variables are those of gettext. Every Chinese locale counts, such as ``zh``, ``zh_SG.UTF-8``
    and ``zh-Hans``; also those of traditional characters, whose readers are nearer to simplified
    characters than to English.
    """
    codes = (re.split("[_.@-]", name)[0].lower() for name in _locales(environment))
    return next((code for code in codes if code in ("zh", "en", "c", "posix")), "en") == "zh"


def _locales(environment: Mapping[str, str]) -> Iterator[str]:
    """Yields the names of locales, the preferred one first.

    LANGUAGE is ignored if the locale is "C", in any encoding: scripts set that for output that does
    not change.
    """
    variables = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environment[name] for name in variables if environment.get(name)), "")
    if locale.partition(".")[0] not in ("C", "POSIX"):
        yield from environment.get("LANGUAGE", "").split(":")
    yield locale
