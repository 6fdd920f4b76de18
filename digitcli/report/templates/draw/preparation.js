// From a gray image to the network's input, in MNIST's form, and what is doubtful about it.
// The steps and their constants are those of digitcli/data/preprocessing and of
// digitcli/core/evaluation/ood.py, so that the page answers as `digitcli predict` does.

const SIDE = 28;
const BOX = 20;
const SURE = 0.97;
const CLEAR = 0.99;

/** Prepares a digit. Returns `image`, 28x28 bytes, and what was found; null if there is no ink. */
function prepare(gray) {
  const inner = innerImage(gray);
  const separated = separateInk(crop(gray, inner));
  if (!separated) return null;
  const ink = removeRuledLines(separated);
  const mask = strokeMask(ink);
  const components = findComponents(mask, ink);
  if (!components.boxes.length) return null;
  const { digit, others, coverage } = findDigit(components, ink, mask);
  const box = union([...digit].map((i) => components.boxes[i]));
  // Other shapes are cleared; the soft edges of the digit's strokes stay.
  const place = withMargin(box, Math.max(1, rint(0.05 * longerSide(box))), ink);
  const labels = crop(grid(ink.width, ink.height, components.labels), place).data;
  const cropped = crop(ink, place);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] && !digit.has(labels[i] - 1)) cropped.data[i] = 0;
  }
  const strokes = thickened(crop(cropped, boundingBox(cropped, VISIBLE)));
  const [right, down] = [inner.left, inner.top];
  return {
    image: centeredByMass(fitted(strokes)),
    others,
    coverage,
    box: {
      left: box.left + right,
      top: box.top + down,
      right: box.right + right,
      bottom: box.bottom + down,
    },
  };
}

/** Widens a cropped digit's strokes to a usual width in MNIST if they are thinner. */
function thickened(ink) {
  const longest = Math.max(ink.width, ink.height);
  const width = (strokeWidth(ink) * BOX) / longest;
  if (width >= 1.7 || longest <= BOX) return ink;
  const small = downscaled(ink, 5 * BOX);
  const radius = ((2.1 - width) * Math.max(small.width, small.height)) / BOX / 2;
  const reach = Math.ceil(radius);
  const full = Math.max(1e-6, small.data.reduce((most, level) => Math.max(most, level), 0));
  const from = padded(mapped(small, (level) => level / full), 2 * reach);
  const wide = grid(small.width + 2 * reach, small.height + 2 * reach);
  for (let top = 0; top <= 2 * reach; top++) {
    for (let left = 0; left <= 2 * reach; left++) {
      const here = top === reach && left === reach;
      const weight = clamp(radius + 0.5 - Math.hypot(top - reach, left - reach), here ? 1 : 0, 1);
      if (!weight) continue;
      for (let y = 0; y < wide.height; y++) {
        const start = (y + top) * from.width + left;
        for (let x = 0; x < wide.width; x++) {
          const level = from.data[start + x] * weight;
          if (level > wide.data[y * wide.width + x]) wide.data[y * wide.width + x] = level;
        }
      }
    }
  }
  return wide;
}

/** Scales ink to bytes, 20 pixels high or wide, with 255 for the brightest. */
function fitted(ink) {
  const longest = Math.max(ink.width, ink.height);
  const [width, height] = [ink.width, ink.height].map((side) =>
    Math.max(1, rint((side * BOX) / longest)),
  );
  const scaled = resized(ink, width, height, longest > BOX ? "hamming" : "bicubic");
  const brightest = scaled.data.reduce((most, level) => Math.max(most, level), 0);
  const relative = mapped(scaled, (level) => Math.max(level, 0) / brightest);
  const image = toBytes(relative);
  if (longerSide(boundingBox(image)) >= BOX - 1) return image;
  const levels = grid(width, height, Float32Array.from(image.data, (byte) => byte / 255));
  return fitted(crop(levels, boundingBox(levels, VISIBLE))); // an edge too fine for the scaling
}

function toBytes({ width, height, data }) {
  return grid(width, height, Uint8Array.from(data, (level) => rint(Math.fround(level * 255))));
}

/** Places a digit in 28x28 with its center of mass in the middle, unless that would cut it. */
function centeredByMass(image) {
  const digit = crop(image, boundingBox(image));
  let [mass, right, down] = [0, 0, 0];
  digit.data.forEach((byte, i) => {
    mass += byte;
    right += byte * (i % digit.width);
    down += byte * Math.floor(i / digit.width);
  });
  const corner = (sum, length) => rint(Math.min(Math.max(0, SIDE / 2 - sum / mass), SIDE - length));
  return placed(digit, corner(right, digit.width), corner(down, digit.height));
}

/** Returns 28x28 values, 0 but for an image at a place. */
function placed({ width, height, data }, left, top) {
  const canvas = grid(SIDE, SIDE, new data.constructor(SIDE * SIDE));
  for (let row = 0; row < height; row++) {
    canvas.data.set(data.subarray(row * width, (row + 1) * width), (top + row) * SIDE + left);
  }
  return canvas;
}

/** Prepares an image that is read as a whole, such as a garment's; null if it has no contrast. */
function prepareFullFrame(gray) {
  const { width, height, data } = gray;
  const edges = [];
  for (let x = 0; x < width; x++) edges.push(data[x], data[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) edges.push(data[y * width], data[(y + 1) * width - 1]);
  const background = median(Float32Array.from(edges));
  const light = mapped(gray, (level) => (background > 0.5 ? 1 - level : level));
  if (light.data.every((level) => Math.abs(level - light.data[0]) < 0.1)) return null;
  const dark = Math.min(background, 1 - background);
  const content = mapped(light, (level) => Math.max(0, level - dark));
  const box = boundingBox(content, VISIBLE);
  if (!box) return null;
  const object = crop(content, box);
  const longest = Math.max(object.width, object.height);
  const [across, down] = [object.width, object.height].map((side) =>
    Math.max(1, rint((side * SIDE) / longest)),
  );
  const scaled = resized(object, across, down, "hamming");
  const image = toBytes(placed(scaled, (SIDE - across) >> 1, (SIDE - down) >> 1));
  return { image, others: 0, doubtful: false, stripe: false };
}

/**
 * Prepares an image in the way in which the network recognizes it best; `classify` returns the
 * probability of the answer for 28x28 bytes. It takes a doubtful image longer than a frame, so
 * this is a generator of the best result so far; nothing is yielded if there is no ink.
 */
function* interpretations(gray, classify) {
  const choice = firstChoice(gray, classify);
  if (!choice) return;
  yield resultOf(choice);
  if (choice.score < SURE || choice.atBorder) {
    for (const change of withAddedMargins(gray)) {
      yield resultOf(choice);
      consider(choice, change, classify);
    }
    yield resultOf(choice);
  }
  const isAllInk = !choice.digit.others && choice.digit.coverage >= 0.98;
  const touchesAll = touched(choice.digit, choice.change).every(Boolean);
  const isTight = choice.score >= 0.45 && isAllInk && touchesAll;
  const isClear = choice.certainty >= CLEAR && choice.change.margin > 0;
  if (isTight || (isClear && isAllInk && choice.touchedBorder)) return;
  if (choice.score < SURE) {
    for (const change of withoutOtherInk(gray)) {
      yield resultOf(choice);
      consider(choice, change, classify);
    }
    yield resultOf(choice);
  }
  if (choice.change.isFirst && !choice.mayBeSurroundings) return;
  for (const view of [gray, ...closerLooks(gray)]) {
    const others = countOthers(view, choice.digit.box, classify);
    const result = resultOf(choice);
    yield { ...result, others: Math.max(result.others, others) };
    if (others) return;
  }
}

function resultOf({ digit, change, certainty }) {
  const doubtful = certainty < (change.isFirst ? 0.7 : 0.9);
  return { ...digit, doubtful, stripe: isStripe(digit, change) };
}

/** Returns the image as it is, prepared, with its score and what the score depends on. */
function firstChoice(gray, classify) {
  const digit = prepare(gray);
  if (!digit) return null;
  const change = { gray, margin: 0, inner: true, bars: true, isFirst: true };
  const certainty = certaintyOf(digit, classify);
  const borders = countTouched(digit, change);
  const spread = certainty >= CLEAR && !borders ? 0 : borderSpread(gray);
  const mixed = certainty < CLEAR && spread > 0.6;
  let score = certainty * weightOf(digit, change);
  if (mixed && !borders) score *= 0.8;
  else if (borders && spread > FLAT_BORDER) score *= 0.9;
  const touchedBorder = borders > 0;
  const mayBeSurroundings = borders > 1 && spread > FLAT_BORDER;
  const atBorder = touchedBorder || mixed;
  return { digit, change, certainty, score, touchedBorder, atBorder, mayBeSurroundings };
}

/** Takes a changed image if it is better than what was chosen before. */
function consider(choice, change, classify) {
  const digit = prepare(change.gray);
  if (!digit || !isPossible(digit, change)) return;
  const certainty = certaintyOf(digit, classify);
  const score = certainty * weightOf(digit, change);
  if (score > Math.max(choice.score, change.inner ? 0.75 : 0.45)) {
    Object.assign(choice, { digit, change, certainty, score });
  }
}

function certaintyOf(digit, classify) {
  const probability = classify(digit.image.data) / (1 + digit.others);
  return probability * (1 - 0.3 * (1 - digit.coverage));
}

function weightOf(digit, change) {
  const borders = countTouched(digit, change);
  if (change.margin && !borders) return 0.8;
  return { 2: 0.9, 3: 0.95 }[borders] ?? 1;
}

function isPossible(digit, change) {
  const borders = countTouched(digit, change);
  const bar = isBar(digit.image);
  if (change.margin && borders >= 2) return !bar || fillsWidth(digit, change);
  return borders === 0 && change.inner && (change.bars || !bar);
}

/** Returns true for each border that a digit touches: left, top, right and bottom. */
function touched({ box }, { gray: { width, height }, margin }) {
  const near = Math.max(2, rint(0.05 * (Math.min(width, height) - 2 * margin))) + margin;
  return [box.left, box.top, width - box.right, height - box.bottom].map((gap) => gap <= near);
}

const countTouched = (digit, change) => touched(digit, change).filter(Boolean).length;

/** Returns true for a bar from the upper to the lower border that has room beside it. */
function isStripe(digit, change) {
  const [, top, , bottom] = touched(digit, change);
  return top && bottom && !fillsWidth(digit, change) && isBar(digit.image);
}

function fillsWidth({ box }, { gray, margin }) {
  return box.right - box.left >= 0.5 * (gray.width - 2 * margin);
}

/** Returns true for a slender shape such as a 1, upright or leaning. */
function isBar(image) {
  const { left, top, right, bottom } = boundingBox(image);
  return right - left < 0.35 * (bottom - top) || barTilt(image) !== null;
}

/** Yields a cropped image on a dark and on a light background. */
function* withAddedMargins(gray) {
  const margin = Math.max(4, rint(0.15 * Math.max(gray.width, gray.height)));
  for (const percent of [5, 95]) {
    const [level] = percentiles(gray.data.slice(), percent);
    yield { gray: padded(gray, margin, level), margin, inner: false, bars: true };
  }
}

/** Yields an image without what is not the digit: neighbors, edges, ruled lines, frames. */
function* withoutOtherInk(gray) {
  const onPaper = (ink) => mapped(ink, (level) => 1 - level);
  for (const change of withAddedMargins(gray)) {
    const ink = withoutBorderShapes(inkOrNone(change.gray), change.margin);
    yield { gray: onPaper(ink), margin: change.margin, inner: true, bars: false };
  }
  for (const closer of closerLooks(gray)) {
    yield { gray: closer, margin: 0, inner: true, bars: true };
  }
  const ink = inkOrNone(gray);
  yield { gray: onPaper(withoutBorderShapes(ink)), margin: 0, inner: true, bars: false };
  const unruled = withoutRemains(removeRuledLines(ink, 4));
  yield { gray: onPaper(unruled), margin: 0, inner: true, bars: false };
  yield { gray: onPaper(withoutBorderShapes(unruled)), margin: 0, inner: true, bars: false };
}

/** Returns an image without its borders, less and more of them. */
function closerLooks(gray) {
  return [0.06, 0.15].map((share) => {
    const cut = Math.max(1, rint(share * Math.min(gray.width, gray.height)));
    return crop(gray, withMargin(everything(gray), -cut, gray));
  });
}

/** Returns the number of digits in an image beside the one that is read, of which `box` is. */
function countOthers(gray, box, classify) {
  const isAlike = (side, size) => Math.abs(side - size) <= Math.max(4, 0.15 * size);
  const found = wholeDigits(gray, classify);
  const isFound = found.some(
    ({ left, top, right, bottom }) =>
      isAlike(right - left, box.right - box.left) && isAlike(bottom - top, box.bottom - box.top),
  );
  return found.length - Number(isFound);
}

/** Returns the boxes of recognized digits of about one size that touch no border. */
function wholeDigits(gray, classify) {
  const separated = separateInk(gray);
  if (!separated) return [];
  const ink = removeRuledLines(separated);
  const components = findComponents(strokeMask(ink), ink);
  const near = Math.max(2, rint(0.01 * Math.min(ink.width, ink.height)));
  const smallest = Math.max(8, 0.04 * Math.max(ink.width, ink.height));
  const digits = [];
  components.boxes.slice(0, 50).forEach((box, i) => {
    const gaps = [box.left, box.top, ink.width - box.right, ink.height - box.bottom];
    if (gaps.some((gap) => gap <= near) || longerSide(box) < smallest) return;
    const own = grid(ink.width, ink.height, components.labels);
    const [inside, labels] = [crop(ink, box), crop(own, box).data];
    const alone = grid(inside.width, inside.height);
    inside.data.forEach((level, at) => (alone.data[at] = labels[at] === i + 1 ? level : 0));
    const image = centeredByMass(fitted(thickened(crop(alone, boundingBox(alone, VISIBLE)))));
    const mass = components.mass[i];
    if (classify(image.data) >= 0.9) digits.push({ box, mass, bar: isBar(image) });
  });
  if (digits.every(({ bar }) => bar)) return [];
  const isLike = ({ box, mass }) =>
    mass >= 0.2 * digits[0].mass && longerSide(box) >= 0.4 * longerSide(digits[0].box);
  return digits.filter(isLike).map(({ box }) => box);
}

const inkOrNone = (gray) => separateInk(gray) ?? grid(gray.width, gray.height);

/** Clears what touches the image's border; within a margin all but the heaviest, the digit. */
function withoutBorderShapes(ink, margin = 0) {
  const components = findComponents(above(ink, VISIBLE), ink);
  const near = Math.max(1, Math.floor(Math.min(ink.width, ink.height) / 100)) + margin;
  return without(components, ink, (box, i) => {
    const gaps = [box.left, box.top, ink.width - box.right, ink.height - box.bottom];
    return gaps.some((gap) => gap <= near) && !(margin && i === 0);
  });
}

/** Clears thin flat shapes, which remain of ruled lines. */
function withoutRemains(ink) {
  const components = findComponents(above(ink, VISIBLE), ink);
  return without(components, ink, ({ left, top, right, bottom }) => {
    const down = bottom - top;
    return down <= Math.max(2, 0.02 * ink.height) && right - left >= 3 * down;
  });
}

/** Returns a message if a prepared image may not show exactly one digit, or null. */
function warningOf({ image, others, doubtful, stripe }, probability, label, isDigits) {
  const unsure = doubtful || probability < 0.6;
  if (others) {
    return message("there are {count} separate shapes, and one of them is read", { count: others + 1 });
  }
  if (!isDigits) return unsure ? message("the answer is unsure") : null;
  if (stripe) return message("the shape is a stripe from border to border");
  const tilt = label === "1" ? barTilt(image) : null;
  if (tilt !== null && (tilt < -25 || tilt > 48)) return message("the shape is a slanting line");
  if (inkIn(image) > 0.62 * BOX * BOX) return message("the shape is too full of ink for a digit");
  if (unsure) return message("the shape does not look like one digit");
  const isBlot = probability < CLEAR && isFilled(image);
  return isBlot ? message("the shape is filled rather than made of strokes") : null;
}

const inkIn = (image) => image.data.reduce((sum, byte) => sum + byte, 0) / 255;

/** Returns the tilt of a straight bar to the right, in degrees, or null for any other shape. */
function barTilt({ width, data }) {
  let [mass, x, y, xx, yy, xy] = [0, 0, 0, 0, 0, 0];
  data.forEach((byte, i) => {
    const [column, row] = [i % width, Math.floor(i / width)];
    mass += byte;
    x += byte * column;
    y += byte * row;
    xx += byte * column * column;
    yy += byte * row * row;
    xy += byte * column * row;
  });
  [x, y] = [x / mass, y / mass];
  [xx, yy, xy] = [xx / mass - x * x, yy / mass - y * y, xy / mass - x * y];
  const mean = (xx + yy) / 2;
  const spread = Math.hypot((xx - yy) / 2, xy);
  if (mean - spread >= 0.25 ** 2 * (mean + spread)) return null;
  return (-Math.atan2(2 * xy, yy - xx) * 90) / Math.PI;
}

/** Returns true if a square of ink holds more than two fifths of all ink. */
function isFilled(image) {
  const mask = image.data.map((byte) => (byte >= 128 ? 1 : 0));
  const count = mask.reduce((sum, each) => sum + each, 0);
  const smallest = Math.floor(Math.sqrt(Math.trunc(0.41 * inkIn(image)))) + 1;
  const largest = Math.floor(Math.sqrt(Math.trunc(count / 0.97)));
  for (let side = smallest; side <= Math.min(largest, SIDE); side++) {
    for (let top = 0; top <= SIDE - side; top++) {
      for (let left = 0; left <= SIDE - side; left++) {
        let ink = 0;
        for (let y = top; y < top + side; y++) {
          for (let x = left; x < left + side; x++) ink += mask[y * SIDE + x];
        }
        if (ink >= 0.97 * side * side) return true;
      }
    }
  }
  return false;
}

/**
 * Converts pixels as a canvas has them, bytes of red, green, blue and alpha, to gray levels: the
 * brightness, or the color channel that shows the ink clearly better.
 */
function toGray(pixels) {
  const { width, height, data } = pixels;
  if (isColorless(data)) return channelOf(pixels, 0);
  const brightness = grid(width, height);
  for (let i = 0; i < brightness.data.length; i++) {
    const [red, green, blue] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    brightness.data[i] = ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) / 255;
  }
  let best = brightness;
  let threshold = 1.4 * sampledContrast(brightness);
  for (const offset of [0, 1, 2]) {
    const color = channelOf(pixels, offset);
    const contrast = sampledContrast(color);
    if (contrast > threshold) [best, threshold] = [color, contrast];
  }
  return best;
}

function channelOf({ width, height, data }, offset) {
  const gray = grid(width, height);
  for (let i = 0; i < gray.data.length; i++) gray.data[i] = data[4 * i + offset] / 255;
  return gray;
}

function isColorless(data) {
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}

function sampledContrast({ width, height, data }) {
  const step = Math.max(1, Math.floor(Math.min(width, height) / 250));
  const sampled = step === 1 ? data.slice() : data.filter(
    (_, i) => i % width % step === 0 && Math.floor(i / width) % step === 0,
  );
  const [darkest, lightest] = percentiles(sampled, 0.5, 99.5);
  return lightest - darkest;
}
