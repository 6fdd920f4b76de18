// The page: the pen, the picture that it draws, and all that is shown of the network.

const PEN = 20; // width of strokes, of 280
const KEY_STEP = 7;
const FRAME_BUDGET = 8; // milliseconds of a frame after which a doubtful image waits for the next
const SILENCE = 700; // milliseconds without a change after which the answer is spoken

const element = (id) => document.getElementById(id);
const settings = JSON.parse(element("settings").textContent);
const layers = decodeLayers(element("weights").textContent, settings.sizes);
const canvas = element("canvas");
const paper = canvas.getContext("2d", { willReadFrequently: true });

globalThis.digitcli = {
  /** Returns the probabilities of the classes for 28x28 bytes in MNIST's form. */
  probabilities(pixels) {
    if (pixels?.length !== SIDE * SIDE) throw new TypeError("expected 784 gray levels, 0 to 255");
    return softmax(runLayers(layers, pixels).at(-1));
  },
};

// The language: the browser's, until another is chosen.

const LANGUAGE = "digitcli language"; // the name under which the choice is kept

/** Returns a message with its values in the language of the page. */
function gettext(text, values = {}) {
  const isChinese = document.documentElement.lang !== "en";
  return filled(message((isChinese && settings.chinese[text]) || text, values));
}

const translated = ({ text, values }) => gettext(text, values);

/** Returns the language chosen before, or the first of the browser's that the page has. */
function preferredLanguage() {
  try {
    const chosen = localStorage.getItem(LANGUAGE);
    if (chosen === "en" || chosen === "zh-CN") return chosen;
  } catch {} // a browser may keep nothing for files
  const codes = navigator.languages.map((name) => name.split("-")[0]);
  return codes.find((code) => code === "zh" || code === "en") === "zh" ? "zh-CN" : "en";
}

function showLanguage(language) {
  document.documentElement.lang = language;
  document.title = document.querySelector("h1").innerText;
  canvas.setAttribute("aria-roledescription", gettext("drawing area"));
  element("seen").ariaLabel = gettext("What the network sees, 28 by 28 pixels");
  element("target").options[0].text = gettext("not chosen");
}

for (const radio of document.querySelectorAll("[name=language]")) {
  radio.addEventListener("change", () => {
    showLanguage(radio.value);
    show();
    try {
      localStorage.setItem(LANGUAGE, radio.value);
    } catch {}
  });
}

// What is drawn: actions since the page was opened, each of which can be undone.

const actions = []; // { stroke: [[x, y], ...] }, { picture, ink } or {}, a cleared paper
let ink = "#000";

function redraw() {
  paper.fillStyle = "#fff";
  paper.fillRect(0, 0, canvas.width, canvas.height);
  ink = "#000";
  const cleared = actions.findLastIndex((action) => !action.stroke);
  for (const { stroke, picture } of actions.slice(Math.max(cleared, 0))) {
    if (picture) drawPicture(picture);
    else stroke?.forEach((_, i) => drawSegment(stroke, i));
  }
  changed();
}

/** Draws the line to a point of a stroke, or a dot for its first one. */
function drawSegment(stroke, i) {
  const [x, y] = stroke[i];
  const [fromX, fromY] = stroke[Math.max(0, i - 1)];
  paper.strokeStyle = ink;
  paper.lineWidth = PEN;
  paper.lineCap = "round";
  paper.beginPath();
  paper.moveTo(fromX, fromY);
  paper.lineTo(x, y);
  paper.stroke();
}

function startStroke(x, y) {
  const stroke = [[x, y]];
  actions.push({ stroke });
  drawSegment(stroke, 0);
  changed();
}

function continueStroke(x, y) {
  const { stroke } = actions.at(-1);
  drawSegment(stroke, stroke.push([x, y]) - 1);
  changed();
}

function undo() {
  liftPens();
  actions.pop();
  redraw();
}

function clear() {
  liftPens();
  if (actions.at(-1)?.stroke || actions.at(-1)?.picture) actions.push({});
  redraw();
}

function save() {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "digit.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }, "image/png");
}

// Pictures from elsewhere

async function openPicture(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    refusal = message("This file is not a picture that the browser can read.");
    show();
    return;
  }
  liftPens();
  actions.push({ picture });
  redraw();
}

/** Draws a picture as large as fits, and continues its background around it. */
function drawPicture(picture) {
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  paper.imageSmoothingQuality = "high";
  paper.clearRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(picture, left, top, width, height);
  const background = backgroundOf(
    paper.getImageData(
      Math.ceil(left), Math.ceil(top), Math.max(1, Math.floor(width)), Math.max(1, Math.floor(height)),
    ),
  );
  const level = Math.round(255 * background);
  ink = background < 0.5 ? "#fff" : "#000";
  paper.fillStyle = `rgb(${level} ${level} ${level})`;
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(picture, left, top, width, height);
}

/** Returns the level of a picture's background; beneath one of ink alone, one that shows the ink. */
function backgroundOf(pixels) {
  const gray = toGray(pixels);
  const alpha = channelOf(pixels, 3);
  const opaque = gray.data.filter((_, i) => alpha.data[i] > 0.5);
  if (opaque.length > gray.data.length / 2) return median(borderOf(gray));
  return opaque.reduce((sum, level) => sum + level, 0) < 0.5 * opaque.length ? 1 : 0;
}

element("open").addEventListener("change", ({ target }) => {
  if (target.files.length) openPicture(target.files[0]);
  target.value = "";
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) openPicture(file);
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault(); // a picture beside the paper would replace the page
    canvas.classList.toggle("dropping", name.startsWith("drage") || name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) openPicture(event.dataTransfer.files[0]);
  });
}

// The pens: a pointer, and one that keys move.

let pointer = null; // id of the pointer that draws
const keyPen = { x: 140, y: 140, isDown: false };

/** Returns where on the paper a pointer is. */
function placeOf({ clientX, clientY }) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [
    ((clientX - left) * canvas.width) / width,
    ((clientY - top) * canvas.height) / height,
  ];
}

function liftPens() {
  pointer = null;
  keyPen.isDown = false;
  element("pen").classList.remove("down");
}

canvas.addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button !== 0) return;
  event.preventDefault();
  canvas.focus({ focusVisible: false, preventScroll: true });
  element("pen").hidden = true;
  liftPens();
  pointer = event.pointerId;
  if (event.isTrusted) canvas.setPointerCapture(pointer); // the stroke goes on outside of the paper
  startStroke(...placeOf(event));
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const all = event.getCoalescedEvents?.() ?? [];
  for (const each of all.length ? all : [event]) continueStroke(...placeOf(each));
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    readOn();
  });
}

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

canvas.addEventListener("keydown", (event) => {
  const isSpace = event.key === " ";
  const direction = DIRECTIONS[event.key];
  if (!(isSpace || direction) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (isSpace && !event.repeat) {
    keyPen.isDown = !keyPen.isDown;
    if (keyPen.isDown) startStroke(keyPen.x, keyPen.y);
  } else if (direction) {
    keyPen.x = clamp(keyPen.x + KEY_STEP * direction[0], 0, canvas.width);
    keyPen.y = clamp(keyPen.y + KEY_STEP * direction[1], 0, canvas.height);
    if (keyPen.isDown) continueStroke(keyPen.x, keyPen.y);
  }
  const mark = element("pen");
  mark.hidden = false;
  mark.classList.toggle("down", keyPen.isDown);
  mark.style.left = `${(100 * keyPen.x) / canvas.width}%`;
  mark.style.top = `${(100 * keyPen.y) / canvas.height}%`;
});
canvas.addEventListener("blur", () => {
  liftPens();
  element("pen").hidden = true;
});
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") {
    event.preventDefault();
    undo();
  }
});
element("undo").addEventListener("click", undo);
element("clear").addEventListener("click", clear);
element("save").addEventListener("click", save);

// Reading: a frame after each change, and more of them if the image is doubtful and the pen is up.

let reading = null; // the iterator of what is found in the picture
let frame = null;
let shown = null; // what is shown: null for an empty paper
let refusal = null; // a message about a file that was not opened
let silence = null;

function changed() {
  reading = null;
  refusal = null;
  element("answer").ariaBusy = "true";
  readOn();
}

function readOn() {
  frame ??= requestAnimationFrame(read);
}

function read() {
  frame = null;
  const start = performance.now();
  let found = null;
  if (!reading) {
    const gray = toGray(paper.getImageData(0, 0, canvas.width, canvas.height));
    reading = preparations(gray);
    shown = null;
  }
  let step;
  do {
    step = reading.next();
    if (!step.done) found = step.value;
  } while (!step.done && pointer === null && performance.now() - start < FRAME_BUDGET);
  if (found) shown = answerFor(found);
  show();
  element("answer").ariaBusy = String(!step.done);
  if (!step.done && pointer === null) readOn();
}

function* preparations(gray) {
  if (settings.fullFrame) {
    const whole = prepareFullFrame(gray);
    if (whole) yield whole;
  } else {
    yield* interpretations(gray, (pixels) => Math.max(...digitcli.probabilities(pixels)));
  }
}

function answerFor(prepared) {
  const outputs = runLayers(layers, prepared.image.data);
  const probabilities = softmax(outputs.at(-1));
  const best = probabilities.indexOf(Math.max(...probabilities));
  const label = settings.classes[best];
  const doubt = warningOf(prepared, probabilities[best], label, settings.digits);
  return { pixels: prepared.image.data, outputs, probabilities, best, label, doubt };
}

// Showing

const setText = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/** Returns a probability in percent; only exactly 1 is shown as 100, and only exactly 0 as 0. */
function percent(probability) {
  if (probability > 0 && probability < 0.00005) return "<0.01";
  return (100 * (probability < 1 ? Math.min(probability, 0.9999) : 1)).toFixed(2);
}

/** Returns a text with minus signs in place of hyphens. */
const typeset = (text) => text.replaceAll("-", "−");

function show() {
  setText(element("answer"), shown?.label ?? "");
  element("reading").classList.toggle("waiting", !shown);
  setText(element("warning"), warningText());
  showSeen();
  showBars();
  showSteps();
  showStrips();
  clearTimeout(silence);
  silence = setTimeout(speak, SILENCE);
}

function warningText() {
  if (refusal) return translated(refusal);
  return shown?.doubt ? gettext("Warning: {warning}.", { warning: translated(shown.doubt) }) : "";
}

/** Gives the answer to screen readers, once the pen rests. */
function speak() {
  const { label, probabilities, best } = shown ?? {};
  const values = { label, percent: percent(probabilities?.[best]) };
  const answer = shown ? gettext("{label}, {percent} percent.", values) : "";
  setText(element("spoken"), `${answer} ${warningText()}`.trim());
}

function showSeen() {
  const context = element("seen").getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    image.data.fill(shown?.pixels[i] ?? 0, 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

const barRows = [...element("bars").tBodies[0].rows];

function showBars() {
  const ranked = [...barRows.keys()];
  if (shown) ranked.sort((a, b) => shown.probabilities[b] - shown.probabilities[a]);
  const visible = new Set(ranked.slice(0, settings.mostBars));
  barRows.forEach((row, i) => {
    row.hidden = !visible.has(i);
    row.classList.toggle("answer", i === shown?.best);
    const [, track, number] = row.cells;
    track.firstChild.style.setProperty("--p", (shown?.probabilities[i] ?? 0).toFixed(4));
    setText(number, shown ? percent(shown.probabilities[i]) : "–");
  });
}

const rowsOf = (id) => [...element(id).tBodies[0].rows, element(id).tFoot.rows[0]];
const scoreRows = rowsOf("scores");
const lossRows = rowsOf("losses");
const DASHES = ["–", "–", "–"];

function fill(row, texts) {
  texts.forEach((text, i) => setText(row.cells[i + 1], typeset(text)));
}

function showSteps() {
  showScores();
  showLoss();
  for (const rows of [scoreRows, lossRows]) {
    rows.forEach((row, i) => row.classList.toggle("answer", i === shown?.best));
  }
}

function showScores() {
  if (!shown) {
    scoreRows.forEach((row) => fill(row, DASHES));
    setText(element("formula"), "");
    return;
  }
  const { probabilities, best, label } = shown;
  const scores = shown.outputs.at(-1);
  scores.forEach((z, i) => {
    fill(scoreRows[i], [fixed(z), exponential(z), share(probabilities[i])]);
  });
  const sum = exponential(crossEntropy(scores, best) + scores[best]); // loss = log(sum) - z
  fill(scoreRows.at(-1), ["", sum, share(1)]);
  const equation = quotient(scores, best);
  const numbers = typeset(`${equation.power} / ${equation.sum} = ${equation.p}`);
  setText(element("formula"), `p(${label}) = ${numbers}`);
}

function showLoss() {
  const target = element("target").value === "" ? null : Number(element("target").value);
  element("losses").classList.toggle("chosen", target !== null);
  if (!shown || target === null) {
    lossRows.forEach((row) => fill(row, DASHES));
    setText(element("loss"), "");
    return;
  }
  const loss = crossEntropy(shown.outputs.at(-1), target);
  shown.probabilities.forEach((p, i) => {
    const y = Number(i === target);
    fill(lossRows[i], [String(y), fixed(y * loss, 4), share(p - y, "+")]);
  });
  fill(lossRows.at(-1), ["1", fixed(loss, 4), fixed(0)]);
  setText(element("loss"), lossText(target, loss));
}

function lossText(target, loss) {
  return gettext(
    "loss = −log p({name}) = {loss}; the score of {name} has to rise, all others have to fall",
    { name: settings.classes[target], loss: typeset(fixed(loss, 4)) },
  );
}

const strips = [...element("strips").children];

function showStrips() {
  const color = getComputedStyle(element("strips")).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  strips.forEach((strip, number) => {
    const output = shown?.outputs[number];
    const strip2d = strip.querySelector("canvas").getContext("2d");
    const image = strip2d.createImageData(strip2d.canvas.width, strip2d.canvas.height);
    if (output) {
      const lowest = Math.min(0, ...output);
      const range = Math.max(...output) - lowest || 1;
      output.forEach((value, i) => {
        image.data.set([...color, (255 * (value - lowest)) / range], 4 * i);
      });
    }
    strip2d.putImageData(image, 0, 0);
    const active = output?.reduce((count, value) => count + (value > 0 ? 1 : 0), 0);
    setText(strip.querySelector("figcaption"), layerText(number, active));
  });
}

/** Returns the caption of a layer, of whose units so many are active; undefined for no drawing. */
function layerText(number, active) {
  const values = { number: number + 1, count: settings.sizes[number + 1], active };
  if (number < strips.length - 1) {
    if (active === undefined) return gettext("Layer {number}, {count} units", values);
    return gettext("Layer {number}, {count} units, {active} active", values);
  }
  if (active === undefined) return gettext("Layer {number}, {count} scores", values);
  const label = shown.label;
  return gettext("Layer {number}, {count} scores, the highest for {label}", { ...values, label });
}

element("target").addEventListener("change", showSteps);
for (const radio of document.querySelectorAll("[name=colors]")) {
  radio.addEventListener("change", showStrips);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showStrips);

/** Reads a bar a few times: a browser compiles what it ran often, and the first stroke is smooth. */
function warmUp(times) {
  const gray = grid(canvas.width, canvas.height);
  for (let row = 60; row < 220; row++) gray.data.fill(1, row * 280 + 130, row * 280 + 150);
  preparations(gray).next();
  if (times > 1) requestIdleCallback(() => warmUp(times - 1));
}

const language = preferredLanguage();
for (const radio of document.querySelectorAll("[name=language]")) {
  radio.checked = radio.value === language;
}
element("languages").hidden = false;
showLanguage(language);
redraw();
globalThis.requestIdleCallback?.(() => warmUp(15));
