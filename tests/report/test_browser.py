"""Reports in a browser: they load, fetch nothing, and can be used by keyboard and in both themes.

They need Chromium or Chrome, which Debian has as the package chromium; elsewhere they are skipped.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Run
from drawn_digits import save_digit
from paths import CHROMIUM
from PIL import Image
from read_page import read_page

from digitcli.report import evaluation

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

THEMES = ("light", "dark")

WITHOUT_WARM_UP = "delete globalThis.requestIdleCallback"
"""Script that leaves out what a page does when idle to be faster later."""

pytestmark = [
    pytest.mark.usefixtures("checkpoint"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]


@pytest.fixture(params=["eval", "predict"])
def report(run: Run, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of each kind."""
    monkeypatch.setattr(evaluation, "MAX_MISTAKES", 24)
    path = Path("report.html").resolve()
    if request.param == "eval":
        assert run("eval", "--dataset", "optdigits", "--report", path).exit_code == 0
    else:
        for i in range(12):
            save_digit(Path(f"in/<b>{i}.png"), i % 10)
        Image.new("L", (40, 40), 200).save("in/blank.png")
        assert run("predict", "in", "--report", path).exit_code == 1
    return path


@dataclass
class Opened:
    """A page in a browser, and what it did that it should not."""

    page: "Page"
    complaints: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)


def open_page(
    browser: "Browser",
    path: Path,
    theme: str,
    width: int = 1200,
    locale: str = "en-US",
    *,
    is_warm: bool = True,
) -> Opened:
    """Opens a page; ``is_warm`` is False to open it ``WITHOUT_WARM_UP``."""
    page = browser.new_page(viewport={"width": width, "height": 900}, locale=locale)
    page.set_default_timeout(120_000)  # milliseconds, for machines with other work
    page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    opened = Opened(page)
    if not is_warm:
        page.add_init_script(WITHOUT_WARM_UP)

    def on_request(request: "Request") -> None:
        if not request.url.startswith("data:"):
            opened.fetched.append(request.url)

    page.on("request", on_request)
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(path.as_uri())
    return opened


@pytest.mark.parametrize("theme", THEMES)
def test_it_loads_and_shows_every_picture(browser: "Browser", report: Path, theme: str) -> None:
    opened = open_page(browser, report, theme)
    widths = opened.page.evaluate(
        "Promise.all([...document.images].map(async image => {"
        "image.loading = 'eager'; await image.decode(); return image.naturalWidth}))"
    )
    assert len(widths) == len(read_page(report).all("img")) > 20
    assert min(widths) >= 28
    assert opened.complaints == []
    assert opened.fetched == [report.as_uri()]


@pytest.mark.parametrize("theme", THEMES)
def test_it_is_accessible(browser: "Browser", report: Path, theme: str) -> None:
    """By the rules of axe-core, which include contrast."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    opened = open_page(browser, report, theme)
    results = axe.run(opened.page)
    assert results.violations_count == 0, results.generate_report()
    assert {"color-contrast", "image-alt"} <= {each["id"] for each in results.response["passes"]}


def background(page: "Page") -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_theme_is_the_systems_unless_chosen(browser: "Browser", report: Path) -> None:
    light, dark = (open_page(browser, report, theme).page for theme in THEMES)
    colors = background(light), background(dark)
    assert colors[0] != colors[1]
    light.get_by_label("dark").check()
    dark.get_by_label("light").check()
    assert (background(dark), background(light)) == colors
    light.get_by_label("as the system").check()
    assert background(light) == colors[0]


def test_every_control_is_reached_by_keyboard(browser: "Browser", report: Path) -> None:
    page = open_page(browser, report, "light").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.reload()
    expected = page.locator("a[href], [tabindex='0'], input:checked").count()
    reached = set()
    for _ in range(expected):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
                " + ' ' + document.activeElement.tagName"
            )
        )
    assert len(reached) == expected
    assert not any(name.endswith("BODY") for name in reached)


def test_a_narrow_screen_is_wide_enough(browser: "Browser", report: Path) -> None:
    page = open_page(browser, report, "light", width=400).page
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    hidden = page.evaluate(
        "[...document.querySelectorAll('main *:not(.scroll *, .hidden, .hidden *)')]"
        ".filter(e => e.getBoundingClientRect().right > 401).map(e => e.outerHTML.slice(0, 80))"
    )
    assert hidden == []


def test_what_failed_can_be_shown_alone(browser: "Browser", run: Run) -> None:
    save_digit(Path("in/7.png"), 7)
    Image.new("L", (40, 40), 200).save("in/blank.png")
    run("predict", "in", "--report", "r.html", "--min-probability", "1")
    page = open_page(browser, Path("r.html").resolve(), "light").page
    for choice, names in (
        ("in doubt", ["? · in/7.png"]),
        ("failed", ["in/blank.png"]),
        ("all", ["? · in/7.png", "in/blank.png"]),
    ):
        page.get_by_label(choice, exact=True).check()
        visible = [
            head.inner_text() for head in page.locator(".card h3").all() if head.is_visible()
        ]
        assert visible == names


@pytest.mark.parametrize("width", [400, 1200])
def test_bars_of_all_pictures_are_of_one_length(
    browser: "Browser", report: Path, width: int
) -> None:
    page = open_page(browser, report, "light", width).page
    lengths = page.evaluate(
        "['100.00', '99.98', '0.00'].flatMap(shown => {"
        "document.querySelectorAll('.answer td:nth-child(3)').forEach(e => e.textContent = shown);"
        "return [...document.querySelectorAll('.track')].map(e => e.getBoundingClientRect().width)"
        "})"
    )
    assert len(lengths) > 300
    assert max(lengths) - min(lengths) < 0.1
