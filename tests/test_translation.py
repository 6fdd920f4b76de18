"""The catalog of translations, and the choice of a language for standard output."""

import gettext
import os
import re
import subprocess
import sys
from collections import Counter
from string import Formatter

import pytest
from catalog import COMPILED, extracted, translated

from digitcli.translation import chinese, is_chinese

EXPLAIN = ("inspect-softmax", "--logits", "2,1,0.1", "--classes", "cat,dog,person", "--explain")


def translations(part: str = "") -> dict[str, str]:
    """Returns the translation of each message in the modules whose path contains ``part``."""
    return {
        str(message.id): str(message.string)
        for message in translated()
        if message.id and any(part in path for path, _ in message.locations)
    }


def test_every_message_of_the_code_has_its_translation() -> None:
    needed = {str(message.id) for message in extracted() if message.id}
    assert len(needed) > 100
    assert translations().keys() == needed, "run python tests/catalog.py"
    assert not translated().obsolete
    assert [message.id for message in translated() if message.fuzzy and message.id] == []
    assert [text for text, translation in translations().items() if not translation] == []


def test_a_message_has_one_meaning() -> None:
    """Those of the console and of the page are separate but for a table's heading."""
    shared = {
        message.id
        for message in extracted()
        if {path.split("/")[1] for path, _ in message.locations} == {"console", "report"}
    }
    assert shared == {"class"}


def test_translations_keep_placeholders_and_markup() -> None:
    for text, translation in translations().items():
        assert placeholders(text) == placeholders(translation)
        assert tags(text) == tags(translation)


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def tags(text: str) -> Counter[str]:
    return Counter(re.findall("<[^>]*>", text))


def test_punctuation_is_chinese() -> None:
    found = [text for text in translations().values() if re.search("[\u4e00-\u9fff][,.;:?!]", text)]
    assert found == []


def test_what_consoles_show_can_be_encoded_in_gbk() -> None:
    "".join(translations("console").values()).encode("gbk")


def test_the_compiled_catalog_is_up_to_date() -> None:
    with COMPILED.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    found = {text: compiled.gettext(text) for text in translations()}
    assert found == translations(), "run python tests/catalog.py"
    assert chinese()("probability") == "概率"
    assert chinese()("no message") == "no message"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        *(
            ({"LANG": name}, True)
            for name in (
                *("zh", "zh_CN", "zh_CN.UTF-8", "zh_CN.GBK", "zh_CN.GB18030", "zh_SG", "zh-Hans"),
                *("zh-Hans-CN", "zh_CN@pinyin", "ZH_cn", "zh_TW.UTF-8", "zh_HK", "zh-Hant"),
            )
        ),
        *(({"LANG": name}, False) for name in ("C", "POSIX", "C.UTF-8", "en_US", "de_DE", "zha")),
        ({"LC_ALL": "zh_CN", "LC_MESSAGES": "en_US", "LANG": "en_US"}, True),
        ({"LC_ALL": "en_US", "LC_MESSAGES": "zh_CN", "LANG": "zh_CN"}, False),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "en_US"}, True),
        ({"LC_MESSAGES": "en_US", "LANG": "zh_CN"}, False),
        ({"LC_CTYPE": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, False),
        ({"LANGUAGE": "zh_CN"}, True),
        ({"LANGUAGE": "zh_CN:en", "LANG": "en_US.UTF-8"}, True),
        ({"LANGUAGE": "zh_CN", "LANG": "C.UTF-8"}, False),
        ({"LANGUAGE": "en_US:zh_CN", "LANG": "zh_CN"}, False),
        ({"LANGUAGE": "de:zh_CN:en", "LANG": "de_DE"}, True),
        ({"LANGUAGE": "de", "LANG": "zh_CN"}, True),
        ({"LANGUAGE": "", "LANG": "zh_CN"}, True),
        ({"LANGUAGE": "zh_CN", "LC_ALL": "C"}, False),  # of a script that reads the output
    ],
)
def test_the_language_of_the_environment(environment: dict[str, str], expected: bool) -> None:
    assert is_chinese(environment) is expected


def explanation(encoding: str, language: str) -> str:
    """Returns what ``--explain`` prints in a process of its own."""
    environment = {**os.environ, "LC_ALL": language, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "digitcli", *EXPLAIN]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "gb18030", "gb2312"])
def test_every_encoding_with_chinese_characters(encoding: str) -> None:
    text = explanation(encoding, "zh_CN")
    assert "\n损失：交叉熵损失衡量预测概率与真实标签的差异" in text
    assert not re.search(r"\\x|\\u|\?|�", text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "big5", "cp932"])
def test_english_where_the_encoding_has_no_such_characters(encoding: str) -> None:
    assert explanation(encoding, "zh_CN.UTF-8") == explanation(encoding, "en_US.UTF-8")
    assert "\nLoss: it measures" in explanation(encoding, "zh_CN.UTF-8")
