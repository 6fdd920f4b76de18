"""The page to draw on: its scripts in Node, the page in Chromium; each is skipped without these."""

import base64
import gzip
import io
import itertools
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from drawn_digits import draw_digit, drawn_pictures, save_digit
from paths import CHROMIUM, SHARED_MNIST
from PIL import Image
from replayed_strokes import Stroke, hand
from test_browser import THEMES, WITHOUT_WARM_UP, Opened, open_page
from typer.testing import CliRunner

from digitcli import Classifier
from digitcli.cli.app import app
from digitcli.console import softmax_numbers
from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcli.core.checkpointing.metadata import layer_sizes
from digitcli.core.errors import PictureError
from digitcli.core.softmax import softmax_steps
from digitcli.report import draw
from digitcli.text import fixed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Shared
    from playwright.sync_api import Browser, Page

NODE = shutil.which("node")
FOLDER = Path(draw.__file__).parent / "templates" / "draw"
PURE = draw.SCRIPTS[:-1]
"""The scripts that use nothing of a browser."""

needs_node = pytest.mark.skipif(NODE is None, reason="no Node here")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

READ = """
const page = require("fs").readFileSync(process.argv[1], "utf8");
const block = (id) => page.match(new RegExp(`<script type="[a-z/]+" id="${id}">(.*?)</script>`))[1];
const settings = JSON.parse(block("settings"));
const layers = decodeLayers(block("weights"), settings.sizes);
const probabilities = (pixels) => softmax(runLayers(layers, pixels).at(-1));
const bytes = require("fs").readFileSync(0);
"""
"""The beginning of programs for Node that are given a page, and bytes on standard input."""

PROBABILITIES = """
for (let i = 0; i < bytes.length; i += 784) {
  console.log(JSON.stringify([...probabilities(new Uint8Array(bytes.subarray(i, i + 784)))]));
}
"""

PREPARED = """
for (let i = 0; i < bytes.length; i += 4 * 280 * 280) {
  const data = new Uint8ClampedArray(bytes.subarray(i, i + 4 * 280 * 280));
  const gray = toGray({ width: 280, height: 280, data });
  const classify = (pixels) => Math.max(...probabilities(pixels));
  const whole = settings.fullFrame && prepareFullFrame(gray);
  const found = (settings.fullFrame ? [whole] : [...interpretations(gray, classify)]).at(-1);
  if (!found) {
    console.log("null");
    continue;
  }
  const answer = probabilities(found.image.data);
  const probability = Math.max(...answer);
  const label = settings.classes[answer.indexOf(probability)];
  const doubt = warningOf(found, probability, label, settings.digits);
  const warning = doubt && filled(doubt);
  console.log(JSON.stringify({ label, warning, image: [...found.image.data] }));
}
"""


def in_node(program: str, page: Path, data: bytes) -> list[Any]:
    """Runs the scripts, and then a program, and returns the lines of JSON that it prints."""
    assert NODE is not None
    text = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in PURE)
    command = [NODE, "-e", f'"use strict";{{\n{text}\n{READ}{program}}}', "--", str(page)]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def page_file(shared: "Shared") -> Path:
    """The page with the bundled weights, in one file for all tests."""
    path = shared.folder / "page.html"
    shared.get("page", lambda: export("pretrained", path))
    return path


def export(checkpoint: str | Path, path: Path = Path("page.html")) -> Path:
    result = CliRunner().invoke(app, ["export", str(path), "--checkpoint", str(checkpoint)])
    assert result.exit_code == 0, result.output
    return path.resolve()


@needs_node
@pytest.mark.parametrize("name", draw.SCRIPTS)
def test_the_scripts_are_valid(name: str) -> None:
    subprocess.run([str(NODE), "--check", FOLDER / name], check=True)
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search("</script|<!--|innerHTML|eval\\(", text)  # would end the element, or run


def test_the_page_is_one_small_file(page_file: Path) -> None:
    assert page_file.stat().st_size < 3_500_000
    text = re.sub(r'id="weights">[^<]*', "", page_file.read_text(encoding="utf-8"))
    assert not re.search(r'(src|href)="(?!data:,|#)|@import|url\(', text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert re.search("script-src 'sha256-[^']*';", policy[1])


def mnist(count: int) -> npt.NDArray[np.uint8]:
    content = gzip.decompress((SHARED_MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(content[16:], np.uint8).reshape(-1, 28, 28)[:count]


def largest_difference(page: Path, images: npt.NDArray[np.uint8]) -> float:
    found = np.array(in_node(PROBABILITIES, page, images.tobytes()))
    expected = Classifier.load("pretrained").probabilities(images)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


@needs_node
def test_probabilities_are_digitclis(page_file: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (100, 28, 28), dtype=np.uint8)
    images = np.concatenate([drawn_pictures(60, 5)[0], noise, noise // 64 * 80])
    assert largest_difference(page_file, images) < 1e-5


@pytest.mark.slow
@needs_node
@pytest.mark.skipif(not SHARED_MNIST.exists(), reason="no MNIST here")
def test_probabilities_of_all_test_images_are_digitclis(page_file: Path) -> None:
    assert largest_difference(page_file, mnist(10_000)) < 1e-5


def papers(kind: str, count: int) -> "Iterator[Image.Image]":
    """Yields papers of 280x280 with a digit: drawn, cut off, or in a photo with uneven light."""
    rng = np.random.default_rng(len(kind))
    for i in range(count):
        side = int(rng.integers(60, 280))
        digit = draw_digit(i % 10, size=side, angle=rng.uniform(-20, 20))
        paper = Image.new("RGB", (280, 280), "white")
        room = 280 - side
        spare = side // 2 if kind == "cut" else 0
        place = [int(each) for each in rng.integers(-spare, room + spare + 1, 2)]
        paper.paste(digit, (place[0], place[1]))
        if kind == "drawn" and i % 2:  # several shapes
            paper.paste(draw_digit(7, size=70), (0, 0))
        if kind == "photo":
            light = np.add.outer(rng.uniform(-0.4, 0.4) * np.arange(280), np.arange(280) * 0.3)
            pixels = (
                0.5 * np.asarray(paper) + 20 + (light + rng.normal(0, 4, (280, 280)))[..., None]
            )
            pixels[..., 2] *= rng.uniform(0.3, 1)
            paper = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        yield paper
    yield Image.new("RGB", (280, 280), "white")


def assert_as_digitcli(page: Path, classifier: Classifier, images: list[Image.Image]) -> None:
    data = b"".join(image.convert("RGBA").tobytes() for image in images)
    for image, found in zip(images, in_node(PREPARED, page, data), strict=True):
        try:
            expected = classifier.predict(image)
        except PictureError:
            assert found is None
        else:
            assert (found["label"], found["warning"]) == (expected.label, expected.warning)
            difference = np.array(found["image"]).reshape(28, 28) - expected.picture.astype(int)
            assert np.abs(difference).max() <= 1


@needs_node
@pytest.mark.parametrize("kind", ["drawn", "cut", "photo"])
@pytest.mark.parametrize("count", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_pictures_are_prepared_as_by_digitcli(page_file: Path, kind: str, count: int) -> None:
    """The 28x28 pixels, the answer and its warning are those of ``predict``."""
    assert_as_digitcli(page_file, Classifier.load("pretrained"), list(papers(kind, count)))


NUMBERS = """
for (const [value, z] of JSON.parse(bytes)) {
  console.log(JSON.stringify([
    share(value), share(value, "+"), fixed(value), fixed(value, 4), general(value, 4),
    general(value, 6), exponential(z),
  ]));
}
"""


@needs_node
def test_numbers_are_formatted_as_by_inspect_softmax(page_file: Path) -> None:
    rng = np.random.default_rng(3)
    tiny = [float(f"{rng.uniform(-1, 1):.3g}e{-n}") for n in range(1, 25)]
    values = [0.0, 1.0, -1.0, *rng.uniform(-1, 1, 200), *rng.normal(0, 1e4, 50), *tiny]
    values += [sign * (1 - 10.0**-n) for n in range(1, 17) for sign in (1, -1)]
    values += [0.00005, 0.0005, 9.9996e-5, 0.99951, 9999.6, 99999.96, 1e21, 1.5e300]
    powers = [*rng.uniform(-50, 50, len(values) - 4), 0.0, 700.0, -700.0, math.log(1e-4)]
    data = json.dumps(list(zip(values, powers, strict=True))).encode()
    share = softmax_numbers.share
    expected = [
        [
            *(share(value), share(value, "+"), fixed(value), fixed(value, 4)),
            *(f"{value:.4g}", f"{value:.6g}", f"{math.exp(z):.4g}"),
        ]
        for value, z in zip(values, powers, strict=True)
    ]
    found = in_node(NUMBERS, page_file, data)
    for each, numbers in zip(expected, found, strict=True):
        if abs(float(each[4])) < 1e20:  # toFixed has no more digits
            assert numbers == each
        assert numbers[4:] == each[4:]
    for text in {text for numbers in expected[1:3] for text in numbers[:2]}:
        assert text.lstrip("+-") == "1.000"


@needs_node
def test_a_probability_is_the_quotient_of_the_numbers_printed(page_file: Path) -> None:
    rng = np.random.default_rng(4)
    scores = [list(rng.normal(0, spread, 10)) for spread in (0.1, 1, 4, 8, 15) for _ in range(20)]
    scores += [[19.36, 0.0], [22.0, 0.0], [36.0, 0.0], [40.0, 0.0], [-300.0, -320.0], [2.0, 2.0]]
    scores += [[900.0, 890.0], [-900.0, -905.0]]
    program = """
for (const scores of JSON.parse(bytes)) {
  console.log(JSON.stringify(quotient(scores, scores.indexOf(Math.max(...scores)))));
}
"""
    quotients = in_node(program, page_file, json.dumps(scores).encode())
    for given, found in zip(scores, quotients, strict=True):
        p = softmax_steps(given).probabilities.max()
        assert found["p"] == softmax_numbers.share(p)
        power, total = Decimal(found["power"]), Decimal(found["sum"])
        assert softmax_numbers.share(float(power / total)) == found["p"]
        assert (found["power"] == found["sum"]) == (p == 1)
        assert float(power.ln()) == pytest.approx(max(given), abs=1e-3)


def other_network(classes: tuple[str, ...], dataset: str) -> Path:
    network = load_checkpoint(Path(Classifier.load("pretrained").path))
    rng = np.random.default_rng(0)
    count = len(classes)
    weights = {
        **network.weights,
        "l5.weight": rng.normal(size=(count, 64)).astype(np.float32),
        "l5.bias": rng.normal(size=count).astype(np.float32),
    }
    metadata = replace(
        network.metadata,
        classes=classes,
        layer_sizes=layer_sizes(count),
        dataset=dataset,
        accuracies=(),
        temperature=1.5,
    )
    path = Path("other.safetensors")
    save_checkpoint(path, Checkpoint(weights, metadata))
    return path


@needs_node
def test_garments_are_prepared_as_a_whole() -> None:
    path = other_network(("boot", "coat", "bag"), "fashion-mnist")
    page = export(path)
    dark = [Image.eval(image, lambda level: 255 - level) for image in papers("drawn", 4)]
    images = [*papers("drawn", 6), *dark, *papers("photo", 4)]
    assert_as_digitcli(page, Classifier.load(path), images)


# In Chromium

REPLAY = """async (strokes) => {
  const canvas = document.getElementById("canvas");
  document.getElementById("clear").click();
  const { left, top, width } = canvas.getBoundingClientRect();
  const send = (type, [x, y]) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, bubbles: true, cancelable: true, isPrimary: true,
    clientX: left + x * width / 280, clientY: top + y * width / 280,
  }));
  for (const stroke of strokes) {
    send("pointerdown", stroke[0]);
    stroke.slice(1).forEach((point) => send("pointermove", point));
    send("pointerup", stroke.at(-1));
  }
  const answer = document.getElementById("answer");
  do await new Promise(requestAnimationFrame); while (answer.ariaBusy === "true");
  return [answer.textContent, document.getElementById("warning").textContent, canvas.toDataURL()];
}"""


@pytest.fixture
def opened(browser: "Browser", page_file: Path) -> "Iterator[Opened]":
    """The page, which must not complain nor fetch anything but itself."""
    opened = open_page(browser, page_file, "light", is_warm=False)
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.fetched if not url.startswith("blob:")] == [page_file.as_uri()]
    opened.page.close()


def replay(page: "Page", strokes: list[Stroke]) -> tuple[str, str, bytes]:
    """Draws strokes; returns the answer, the warning, and the paper as a PNG's bytes."""
    answer, warning, uri = page.evaluate(REPLAY, strokes)
    return answer, warning, base64.b64decode(uri.partition(",")[2])


def agreements(page: "Page", hands: range) -> list[bool]:
    classifier = Classifier.load("pretrained")
    results = []
    for digit in range(10):
        for seed in hands:
            answer, warning, png = replay(page, hand(digit, seed))
            expected = classifier.predict(png)
            doubt = f"Warning: {expected.warning}." if expected.warning else ""
            results.append((answer, warning) == (expected.label, doubt))
    return results


def settled(page: "Page") -> str:
    """Returns the answer when it does not change any more."""
    page.wait_for_selector("#answer[aria-busy=false]", state="attached")
    return page.locator("#answer").inner_text()


def wait_for(page: "Page", name: str, text: str) -> None:
    """Waits for an element's text; ``wait_for_function`` would need what the policy forbids."""
    page.locator(f"#{name}", has_text=re.compile(text)).wait_for(state="attached")


@needs_browser
def test_replayed_strokes_are_read_as_predict_reads_the_png(opened: Opened) -> None:
    assert all(agreements(opened.page, range(2)))


@pytest.mark.slow
@needs_browser
def test_300_replayed_sequences(opened: Opened) -> None:
    results = agreements(opened.page, range(30))
    assert len(results) == 300
    assert sum(results) >= 297


def draw_by_mouse(page: "Page", strokes: list[Stroke]) -> None:
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    for stroke in strokes:
        for i, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280)
            if i == 0:
                page.mouse.down()
        page.mouse.up()


def paper(page: "Page") -> str:
    return str(page.evaluate("document.getElementById('canvas').toDataURL()"))


@needs_browser
def test_a_drawing_is_saved_and_undone(opened: Opened) -> None:
    page = opened.page
    empty = paper(page)
    draw_by_mouse(page, [[(70, 60), (200, 60), (130, 230)]])
    assert settled(page) == "7"
    seven = paper(page)
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "digit.png"
    saved = Path(download.value.path()).read_bytes()
    expected = Classifier.load("pretrained").predict(saved)
    assert Image.open(io.BytesIO(saved)).size == (280, 280)
    assert expected.label == "7"
    seen = page.evaluate(
        "[...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    assert np.array_equal(np.array(seen).reshape(28, 28, 4)[..., 0], expected.picture)

    draw_by_mouse(page, [[(20, 20), (60, 60)]])
    assert paper(page) != seven
    page.click("#undo")
    assert paper(page) == seven
    page.click("#clear")
    assert settled(page) == ""
    assert paper(page) == empty
    page.keyboard.press("Control+z")
    assert paper(page) == seven
    assert settled(page) == "7"
    for _ in range(3):  # more than there is
        page.click("#undo")
    assert (paper(page), settled(page)) == (empty, "")


@needs_browser
def test_a_digit_is_drawn_with_the_keyboard(opened: Opened) -> None:
    page = opened.page
    page.focus("#canvas")
    for key, times in (("ArrowUp", 12), (" ", 1), ("ArrowDown", 24), (" ", 1), ("ArrowLeft", 9)):
        for _ in range(times):
            page.keyboard.press(key)
    assert settled(page) == "1"
    assert page.locator("#warning").inner_text() == ""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "undo"


@needs_browser
def test_pictures_are_opened_dropped_and_pasted(opened: Opened) -> None:
    page = opened.page
    page.set_input_files("#open", save_digit(Path("5.png"), 5))
    wait_for(page, "answer", "^5$")
    transfer = """([type, background]) => {
      const canvas = new OffscreenCanvas(200, 100);
      const context = canvas.getContext("2d");
      context.fillStyle = background;
      context.fillRect(0, 0, 200, 100);
      context.fillStyle = "#fff";
      context.fillRect(95, 15, 9, 70);
      return canvas.convertToBlob().then((blob) => {
        const files = new DataTransfer();
        files.items.add(new File([blob], "1.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        const event = type === "paste"
          ? new ClipboardEvent(type, { ...options, clipboardData: files })
          : new DragEvent(type, { ...options, dataTransfer: files });
        document.body.dispatchEvent(event);
        return event.defaultPrevented;
      });
    }"""
    for kind, color in (("drop", "#124"), ("paste", "#124"), ("drop", "transparent")):
        page.click("#clear")
        assert settled(page) == ""
        assert page.evaluate(transfer, [kind, color]) is (kind == "drop")
        wait_for(page, "answer", "^1$")
    before = paper(page)
    Path("text.png").write_text("no picture")
    page.set_input_files("#open", "text.png")
    wait_for(page, "warning", "not a picture")
    assert paper(page) == before


@needs_browser
def test_the_lesson_follows_the_drawing(opened: Opened) -> None:
    """The table shows the numbers of ``inspect-softmax``, and the strips those of the layers."""
    page = opened.page
    *_, png = replay(page, hand(4, 1))
    page.select_option("#target", "9")
    classifier = Classifier.load("pretrained")
    picture = classifier.predict(png).picture
    temperature = classifier.metadata.temperature
    scores = classifier.scores(picture[None])[0].astype(float) / temperature
    steps = softmax_steps(scores, target=9)
    assert steps.loss is not None
    rows = [
        [cell.replace("−", "-") for cell in scores + losses]
        for scores, losses in zip(
            *(cells(page, f"#{name} tbody tr") for name in ("scores", "losses")), strict=True
        )
    ]
    share = softmax_numbers.share
    for i, row in enumerate(rows):
        z, e, *others = row
        assert float(z) == pytest.approx(steps.logits[i], abs=6e-4)
        assert float(e) == pytest.approx(np.exp(steps.logits[i]), rel=1e-3)
        expected = share(steps.probabilities[i]), share(steps.loss.gradient[i], "+")
        for text, number in zip((others[0], others[3]), expected, strict=True):
            assert float(text) == pytest.approx(float(number), rel=0.06)
            assert ("e" in text) == ("e" in number)
        assert others[1] == ("1" if i == 9 else "0")
        assert float(others[2]) == pytest.approx(steps.loss.log_losses[i], abs=6e-5)
    assert [rows[i][4] for i in range(9)] == ["0.0000"] * 9
    total = float(page.locator("#scores tfoot td").nth(1).inner_text())
    assert total == pytest.approx(np.exp(steps.logits).sum(), rel=1e-3)
    captions = page.locator(".strip figcaption").all_inner_texts()
    assert [re.sub(", [0-9]+ active", "", caption) for caption in captions] == [
        "Layer 1, 512 units", "Layer 2, 256 units", "Layer 3, 128 units", "Layer 4, 64 units",
        "Layer 5, 10 scores, the highest for 4",
    ]  # fmt: skip
    for bar, p in zip(cells(page, "#bars tbody tr"), steps.probabilities, strict=True):
        if p < 0.00005:
            assert bar[-1] == "<0.01"
        else:
            assert float(bar[-1]) == pytest.approx(100 * p, abs=0.011)
    assert any(p < 0.00005 for p in steps.probabilities)
    wait_for(page, "spoken", "^4, ")


def cells(page: "Page", rows: str) -> list[list[str]]:
    """Returns the texts of the data cells of table rows."""
    return [row.locator("td").all_inner_texts() for row in page.locator(rows).all()]


@needs_browser
def test_a_sure_answer_shows_no_number_as_0_or_1(opened: Opened) -> None:
    page = opened.page
    replay(page, hand(3, 0))
    page.select_option("#target", "3")
    for language in ("English", "中文"):
        page.get_by_label(language).check()
        scores, losses = (cells(page, f"#{name} tbody tr") for name in ("scores", "losses"))
        p, y, loss, gradient = (text.replace("−", "-") for text in [scores[3][2], *losses[3]])
        assert re.fullmatch(r"0\.9999+[0-8]?", p)
        assert y == "1"
        assert re.fullmatch(r"[1-9]\.[0-9]e-[0-9]{2}", loss)
        assert re.fullmatch(r"-[1-9]\.[0-9]e-[0-9]{2}", gradient)
        formula = page.locator("#formula").inner_text()
        assert formula.endswith(f" = {p}")
        power, total = re.findall(r"[0-9.]+(?:e[+][0-9]+)?", formula.partition(" = ")[2])[:2]
        assert softmax_numbers.share(float(power) / float(total)) == p
        for text in (row[2] for rows in (scores, losses) for row in rows[:3] + rows[4:]):
            assert float(text.replace("−", "-")) > 0


@needs_browser
def test_an_empty_page_says_what_will_be_where(opened: Opened) -> None:
    page = opened.page
    for language, head, waiting in (
        ("English", "Draw here", "After the first stroke, the answer and the image"),
        ("中文", "在这里画", "画下第一笔后，这里会显示识别结果"),
    ):
        page.get_by_label(language).check()
        assert page.locator("#board-head").inner_text() == head
        assert page.locator("#waiting").inner_text().startswith(waiting)
    assert not page.locator("#seen").is_visible()
    before = page.locator(".chart").bounding_box()
    replay(page, hand(3, 0))
    assert not page.locator("#waiting").is_visible()
    assert page.locator("#seen").is_visible()
    assert page.locator(".chart").bounding_box() == before
    page.click("#clear")
    settled(page)
    assert page.locator("#waiting").is_visible()


DOUBTFUL_3 = [*hand(3, 0), [(250.0, 20.0), (250.0, 270.0)]]
"""Strokes whose answer has a warning."""


@needs_browser
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_it_is_accessible(browser: "Browser", page_file: Path, locale: str) -> None:
    """By axe-core in each theme, empty and drawn on, narrow and wide."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(browser, page_file, "light", locale=locale, is_warm=False).page
    for strokes, widths in (([], (360, 1280)), (DOUBTFUL_3, (1280, 360))):
        replay(page, strokes)
        page.select_option("#target", "3" if strokes else "")
        for theme, width in zip(THEMES, widths, strict=True):
            page.emulate_media(color_scheme="light" if theme == "light" else "dark")
            page.set_viewport_size({"width": width, "height": 900})
            results = axe.run(page)
            assert results.violations_count == 0, results.generate_report()
            assert "color-contrast" in {each["id"] for each in results.response["passes"]}
    page.close()


WIDTHS = (320, 360, 400, 480, 600, 704, 705, 768, 960, 961, 1024, 1280)
"""Viewports in pixels: phones to screens, and both sides of each change of the layout."""


def cut_off(page: "Page") -> list[str]:
    """Returns what is wider than its place, or scrolls to the side."""
    return list(
        page.evaluate("""[...document.querySelectorAll(":not(.hidden, .hidden *, .skip)")]
          .filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5
            || (node.scrollWidth > node.clientWidth + 1 && node.matches("html, body, main *")
              && getComputedStyle(node).display !== "inline"))
          .map((node) => `${node.tagName} ${node.id} ${node.textContent.slice(0, 60)}`)""")
    )


@needs_browser
def test_nothing_is_cut_off(browser: "Browser", page_file: Path) -> None:
    opened = open_page(browser, page_file, "light", is_warm=False)
    page = opened.page
    for strokes in ([], DOUBTFUL_3):
        replay(page, strokes)
        page.select_option("#target", "5" if strokes else "")
        for language in ("English", "中文"):
            page.get_by_label(language).check()
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") == width
                assert cut_off(page) == [], f"{language} at {width} px"
    page.set_viewport_size({"width": 320, "height": 900})
    page.evaluate(  # as of an answer as sure as a number can tell
        "document.querySelectorAll('#scores td, #losses td')"
        ".forEach((cell) => { cell.textContent = '+0.9999999999999999'; })"
    )
    assert cut_off(page) == []
    page.close()


@needs_browser
def test_touch_targets_are_large_enough(browser: "Browser") -> None:
    """44 pixels high for fingers, 24 for a mouse."""
    page_file = export(small_network())
    for has_touch, least in ((True, 44), (False, 24)):
        page = browser.new_page(has_touch=has_touch, is_mobile=has_touch)
        page.add_init_script(WITHOUT_WARM_UP)
        page.goto(page_file.as_uri())
        targets = page.locator("button, .button, select, .choice label").all()
        assert len(targets) == 10
        for target in targets:
            box = target.bounding_box()
            assert box is not None
            assert box["height"] >= least
        page.close()


IN_BOTH_LANGUAGES = frozenset(
    ("English", "Softmax", "ReLU", "ez", "one", "hot", "log", "PNG", "MNIST", "mnist", "digitcli")
)
"""Words of the page that are the same in English and in Chinese; one letter is a symbol."""


def latin_words(page: "Page") -> set[str]:
    """Returns the words of the page in Latin letters that a person sees or hears."""
    texts = page.evaluate("""[document.title, document.body.innerText,
      ...[...document.querySelectorAll("*")].flatMap((node) => [...node.attributes]
        .filter(({ name }) => name.startsWith("aria-") && !/by$/.test(name))
        .map(({ value }) => value))]""")
    code = page.locator("code").all_inner_texts()
    text = "\n".join(texts)
    for each in code:
        text = text.replace(each, "")
    return {word for word in re.findall("[A-Za-z]{2,}", text) if word not in ("true", "false")}


@needs_browser
def test_the_page_speaks_the_language_of_the_browser(browser: "Browser", page_file: Path) -> None:
    opened = open_page(browser, page_file, "light", locale="zh-CN", is_warm=False)
    page = opened.page
    assert page.title() == page.locator("h1").inner_text() == "手写一个数字"
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    replay(page, DOUBTFUL_3)
    page.select_option("#target", "5")
    assert latin_words(page) <= IN_BOTH_LANGUAGES
    assert "“5”的得分还需要继续增大" in page.locator("#loss").inner_text()
    captions = page.locator(".strip figcaption").all_inner_texts()
    assert re.fullmatch("第 1 层，512 个神经元，激活 [0-9]+ 个", captions[0])
    assert captions[4] == "第 5 层，10 个得分，“3”最高"
    assert page.locator("#canvas").get_attribute("aria-roledescription") == "绘图区"
    wait_for(page, "spoken", "^3，百分之99")
    *_, png = replay(page, [[(20.0, 250.0), (260.0, 200.0)]])
    assert (
        Classifier.load("pretrained").predict(png).warning
        == "the shape does not look like one digit"
    )
    assert page.locator("#warning").inner_text() == "警告：看起来不像一个数字。"
    wait_for(page, "spoken", "警告：看起来不像一个数字。$")
    Path("text.png").write_text("no picture")
    page.set_input_files("#open", "text.png")
    wait_for(page, "warning", "^浏览器无法读取这个文件")
    wait_for(page, "spoken", "浏览器无法读取这个文件")
    assert opened.complaints == []
    page.close()


@needs_browser
def test_the_first_language_that_the_page_has(browser: "Browser") -> None:
    page_file = export(small_network())
    page = browser.new_page()
    page.add_init_script(WITHOUT_WARM_UP)
    page.add_init_script(
        "Object.defineProperty(navigator, 'languages', { value: JSON.parse(name || '[]') })"
    )
    for languages, expected in (
        (["zh-TW", "en"], "zh-CN"),
        (["zh-Hans-SG"], "zh-CN"),
        (["de-DE", "zh", "en"], "zh-CN"),
        (["en-GB", "zh-CN"], "en"),
        (["de"], "en"),
    ):
        page.evaluate("(languages) => { name = JSON.stringify(languages); }", languages)
        page.goto(page_file.as_uri())
        assert page.evaluate("navigator.languages") == languages
        assert page.evaluate("document.documentElement.lang") == expected
    page.close()


def small_network() -> Path:
    """Saves a network that is quick to load, for tests of which the answers do not matter."""
    return network_of_sizes((784, 8, 10), Path("small.safetensors"))


def network_of_sizes(sizes: tuple[int, ...], path: Path) -> Path:
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for n, (inputs, outputs) in enumerate(itertools.pairwise(sizes), start=1):
        weights[f"l{n}.weight"] = np.zeros((outputs, inputs), np.float32)
        weights[f"l{n}.bias"] = np.zeros(outputs, np.float32)
    metadata = load_checkpoint(Path(Classifier.load("pretrained").path)).metadata
    save_checkpoint(path, Checkpoint(weights, replace(metadata, layer_sizes=sizes)))
    return path


@needs_browser
def test_the_language_is_switched_by_keyboard_and_kept(opened: Opened) -> None:
    page = opened.page
    *_, png = replay(page, [[(20.0, 250.0), (260.0, 200.0)]])
    assert (
        Classifier.load("pretrained").predict(png).warning
        == "the shape does not look like one digit"
    )
    before = paper(page)
    page.focus("[name=language]:checked")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.locator("#warning").inner_text() == "警告：看起来不像一个数字。"
    wait_for(page, "spoken", "警告：看起来不像一个数字。$")
    assert paper(page) == before
    page.reload()
    assert page.get_by_role("radio", name="中文").is_checked()
    assert page.get_by_role("button", name="撤销").is_visible()
    assert page.title() == "手写一个数字"
    page.get_by_label("English").check()
    assert page.title() == page.locator("h1").inner_text() == "Draw a digit"
    assert opened.fetched.pop() == opened.fetched[0]  # the reload


@needs_browser
def test_a_browser_that_keeps_nothing_for_files(browser: "Browser", page_file: Path) -> None:
    page = browser.new_page(locale="zh-CN")
    page.add_init_script(WITHOUT_WARM_UP)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException(); } })"
    )
    page.goto(page_file.as_uri())
    assert page.locator("h1").inner_text() == "手写一个数字"
    page.get_by_label("English").check()
    assert page.locator("h1").inner_text() == "Draw a digit"
    assert replay(page, hand(4, 1))[0] == "4"
    assert errors == []
    page.close()


@needs_browser
def test_without_javascript_it_is_in_english(browser: "Browser", page_file: Path) -> None:
    page = browser.new_page(java_script_enabled=False, locale="zh-CN")
    page.goto(page_file.as_uri())
    text = page.locator("body").inner_text()
    assert "This page needs JavaScript." in text
    assert "Draw a digit" in text
    assert not re.search("[\u4e00-\u9fff]|Language", text)
    page.close()


def test_the_texts_of_the_scripts_are_those_of_the_catalog() -> None:
    """The page finds them by a pattern, Babel by parsing."""
    pytest.importorskip("babel")
    from catalog import extracted

    in_scripts = {
        message.id
        for message in extracted()
        if any(path.endswith(".js") for path, _ in message.locations)
    }
    assert set(draw.script_messages()) == in_scripts


def test_a_page_that_is_too_large_for_a_browser_is_not_written() -> None:
    network_of_sizes((784, 4000, 800, 10), Path("wide.safetensors"))
    Path("page.html").write_text("old")
    flags = ("--checkpoint", "wide.safetensors")
    result = CliRunner().invoke(app, ["export", "page.html", *flags], prog_name="digitcli")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "digitcli: error: a page of 34 MB is too large for a browser, 32 MB at most; export this "
        "network as onnx, pt2 or npz"
    )
    assert Path("page.html").read_text() == "old"
    assert export("wide.safetensors", Path("wide.npz")).exists()


@needs_browser
def test_names_of_classes_are_text(browser: "Browser") -> None:
    names = (
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(2)</script>",
        "\x1b[31m",
        "größer",
    )
    path = other_network(names, "folder:signs")
    opened = open_page(browser, export(path), "dark", 360, is_warm=False)
    page = opened.page
    shown = [names[0], names[1], "\\x1b[31m", "größer"]
    assert page.locator("#bars th[scope=row]").all_inner_texts() == shown
    assert page.locator("#target option").all_inner_texts()[1:] == shown
    answers = {replay(page, hand(digit, 0))[0] for digit in range(10)}
    assert answers <= set(shown)
    assert any("<" in answer for answer in answers)
    page.select_option("#target", "1")
    assert "log p(</script>" in page.locator("#loss").inner_text()
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert opened.complaints == []
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('script'),"
        "{textContent: 'globalThis.strange = 1'}))"
    )
    assert page.evaluate("typeof strange") == "undefined"
    assert "Content Security Policy" in opened.complaints[0]
    page.close()
