"""The benchmark of pictures: which images it reads, and how it counts answers."""

from pathlib import Path

from bars import Evaluated, bars_of
from pictures import Answer, Case, rows_of
from shared_pictures import shared_pictures

LABELS = """file,label,kind,style,repo,commit,path
a.png,7,single,photo,one/writer,0,a.png
b.png,12 34,multi,photo,one/writer,0,b.png
c.png,56,multi,segment,other/writer,0,c.png
d.png,8,printed,font,other/writer,0,d.png
e.png,,notdigit,photo,other/writer,0,e.png
"""


def case(row: str, label: str | None, answer: Answer) -> Case:
    return Case(row, "0", label, answer, seconds=0.5)


RIGHT = Answer("7", 0.95)
WARNED = Answer("7", 0.95, warning="the shape does not look like one digit")
UNSURE = Answer("1", 0.8)
SURE = Answer("1", 0.95)
REFUSED = Answer(error="the image is blank")


def test_shared_pictures_are_listed_by_row(tmp_path: Path) -> None:
    (tmp_path / "wild2").mkdir()
    (tmp_path / "wild2" / "labels.csv").write_text(LABELS)
    found = [(p.row, p.label, p.several) for p in shared_pictures(tmp_path, "wild2")]
    assert found == [
        ("wild2-multi", "1234", True),
        ("wild2-multi-by-predict", None, False),
        ("wild2-multi-by-predict", None, False),
        ("wild2-notdigit", None, False),
        ("wild2-printed", "8", False),
        ("wild2-printed-rows", "56", True),
        ("wild2-single-photo", "7", False),
    ]


def test_a_folder_for_each_class_gives_the_labels(tmp_path: Path) -> None:
    (tmp_path / "crops" / "3").mkdir(parents=True)
    (tmp_path / "crops" / "3" / "a.png").touch()
    (picture,) = shared_pictures(tmp_path, "crops")
    assert (picture.name, picture.label) == ("3/a.png", "3")


def test_a_missing_folder_has_no_pictures(tmp_path: Path) -> None:
    assert shared_pictures(tmp_path, "wild") == shared_pictures(tmp_path, "canvas") == ()


def test_a_row_counts_answers() -> None:
    cases = [case("crops", "7", a) for a in (RIGHT, WARNED, UNSURE, SURE, REFUSED)]
    (row,) = rows_of("crops", cases, None)
    assert (row.count, row.right, row.seconds) == (5, 0.4, 2.5)
    assert (row.warned, row.warned_though_right) == (0.2, 0.5)
    assert (row.silently_wrong, row.refused) == (1, 0.2)


def test_any_answer_to_a_non_digit_is_wrong() -> None:
    cases = [case("drawing-star", None, a) for a in (RIGHT, WARNED, UNSURE, REFUSED)]
    row = next(iter(rows_of("non-digits", cases, None)))
    assert (row.right, row.silently_wrong) == (None, 1)
    (bar,) = bars_of(cases, None)
    assert (bar.value, bar.met) == (50, False)


def test_variants_are_compared_with_eval_on_the_same_digits() -> None:
    cases = [case("mnist-border", "7", RIGHT) for _ in range(10)]
    evaluated = Evaluated(accuracy=0.994, ece=0.002, same_digits=1.0, count=10)
    test, ece, border = bars_of(cases, evaluated)
    assert (test.met, ece.met, border.met, border.value) == (False, True, True, 0)
