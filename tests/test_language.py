"""Phrases that the code and the pages do not use, because readers stop at them."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from paths import ROOT

REFUSED = {
    r"\bsays (whether|what|how|why|who|which)\b": "functions return: 'Returns True if ...'",
    r"\bis told\b": "'receives' or 'is called with'",
    r"\btold of\b": "'called with' or 'warned about'",
    r"\banew\b": "'again'",
    r"\bamid\b": "'between' or 'within'",
    r"\blikewise\b": "say it again, or leave it out",
    r"\bin (its|their) stead\b": "'instead'",
    r"\bparted\b": "'split' or 'separated'",
    r"\bmakes nothing of\b": "'does nothing' or 'ignores'",
    r"\bno other takes\b": "'never falls back to'",
    r"\bas (\w+ ){1,3}(has|have|had) it\b": "name the rule or the format, or leave it out",
    r"\bare none\b": "'there are no ...', or 'are not ...'",
    r"\bown weights\b": "the 'bundled weights'",
    # of an error or warning, which may follow a name or stand alone
    r'(Error\(|return|yield|problem =)\s*f?"its? ': "name the thing, or begin with what it is",
    # after a line that does not open a block, so of a constant or attribute
    r'(?<=[^:\s]\n)\x20*"""(what|how far|how many)\b': "constants are noun phrases with a unit",
}
"""Better words for each phrase, by its pattern; case is ignored."""


@cache
def texts() -> dict[str, str]:
    """Returns the Python files and pages that git tracks, except this one, with their content."""
    command = ["git", "ls-files", "*.py", "*.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in done.stdout.splitlines() if name != f"tests/{Path(__file__).name}"]
    paths = {name: ROOT / name for name in names}
    return {name: path.read_text("utf-8") for name, path in paths.items() if path.exists()}


@pytest.mark.parametrize("phrase", REFUSED)
def test_phrases_that_stop_a_reader_are_not_used(phrase: str) -> None:
    pattern = re.compile(phrase.replace(" ", r"[\s#]+"), re.IGNORECASE)  # also across lines
    found = []
    for name, text in texts().items():
        lines = (text[: match.start()].count("\n") + 1 for match in pattern.finditer(text))
        found += [f"{name}:{line}" for line in lines]
    assert not found, f"better: {REFUSED[phrase]}"
