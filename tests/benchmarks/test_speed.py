"""The benchmark of speed reports why a command failed."""

import sys

import pytest
import speed


def test_a_command_that_fails_is_shown_with_its_last_lines() -> None:
    program = "import sys; print(*range(50), sep='\\n', file=sys.stderr); sys.exit('no data \\xff')"
    with pytest.raises(SystemExit) as caught:
        speed.run([sys.executable, "-c", program, "a b"])
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(f"failed with 1: {sys.executable} -c ")
    assert first.endswith(" 'a b'")
    assert lines == [*(f"  {number}" for number in range(41, 50)), "  no data ÿ"]


def test_a_command_that_works() -> None:
    program = "import sys; print('1\\n{}'); print('a warning', file=sys.stderr)"
    assert speed.run([sys.executable, "-c", program]).last_line == "{}"
