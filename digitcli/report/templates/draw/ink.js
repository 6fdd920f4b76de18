// Ink: separated from its background, without ruled lines, and grouped into shapes.
// The steps and their constants are those of digitcli/data/preprocessing.

const MIN_CONTRAST = 0.05;
const FLAT_BORDER = 0.12;
const VISIBLE = 0.1;
const WINDOW = 0.25;
const LINE_INK = 0.15;

/** Returns the box of a smaller image with its own background, or of everything without one. */
function innerImage(gray) {
  const border = borderOf(gray);
  const [lowest, background, highest] = percentiles(border, 0, 50, 100);
  if (highest - lowest > 0.03) return everything(gray);
  const differs = grid(gray.width, gray.height, new Uint8Array(gray.data.length));
  for (let i = 0; i < gray.data.length; i++) {
    const difference = gray.data[i] - background;
    if (difference > 0.03 || difference < -0.03) differs.data[i] = 1;
  }
  const box = boundingBox(differs);
  if (!box) return everything(gray);
  const filled = crop(differs, box);
  if (Math.min(inkedRows(filled), inkedRows(transposed(filled))) < 24) return everything(gray);
  const { width, height, data } = filled;
  const edges = [];
  for (let x = 0; x < width; x++) edges.push(data[x], data[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) edges.push(data[y * width], data[(y + 1) * width - 1]);
  if (edges.reduce((sum, edge) => sum + edge, 0) < 0.9 * edges.length) return everything(gray);
  const inner = crop(gray, box);
  const center = crop(inner, { left: 1, top: 1, right: width - 1, bottom: height - 1 });
  const [darkest, lightest] = extremes(center.data);
  const isFrame = Math.abs(median(inner.data) - background) <= 0.03;
  return isFrame || lightest - darkest < MIN_CONTRAST ? everything(gray) : box;
}

function inkedRows({ width, height, data }) {
  let count = 0;
  for (let row = 0; row < height; row++) {
    if (data.subarray(row * width, (row + 1) * width).some((value) => value > 0)) count++;
  }
  return count;
}

/** Returns the spread of the levels along the border as a fraction of the contrast. */
function borderSpread(gray) {
  return spreadOf(percentiles(borderOf(gray), 10, 50, 90), extremes(gray.data));
}

function spreadOf([low, background, high], [darkest, lightest]) {
  const contrast = Math.max(background - darkest, lightest - background);
  return contrast ? (high - low) / contrast : 0;
}

/** Separates ink, 0 to 1, from its background; null if nothing stands out. */
function separateInk(gray) {
  const border = percentiles(borderOf(gray), 10, 50, 90);
  const background = border[1];
  const [darkest, lightest] = extremes(gray.data);
  if (Math.max(background - darkest, lightest - background) < MIN_CONTRAST) return null;
  if (spreadOf(border, [darkest, lightest]) <= FLAT_BORDER) {
    const sign = background - darkest >= lightest - background ? 1 : -1;
    const ink = grid(gray.width, gray.height);
    for (let i = 0; i < gray.data.length; i++) {
      const level = sign * (background - gray.data[i]);
      if (level > 0) ink.data[i] = level;
    }
    return normalized(ink);
  }
  const ink = inkInUnevenLight(blurred(gray));
  const paper = median(ink.data.slice());
  return normalized(mapped(ink, (level) => Math.max(0, level - paper)));
}

/** Scales ink to 0..1 and clears the unevenness of the background; null without contrast. */
function normalized(ink) {
  const levels = positives(ink.data);
  const zeros = ink.data.length - levels.length;
  let full = extremes(levels, zeros)[1];
  if (full < MIN_CONTRAST) return null;
  const threshold = Math.fround(Math.max(otsu(levels, zeros), 0.25 * full));
  let middle = 0; // levels up to the threshold are moved before the others
  for (let i = 0; i < levels.length; i++) {
    if (levels[i] <= threshold) {
      const level = levels[i];
      levels[i] = levels[middle];
      levels[middle++] = level;
    }
  }
  const [below, above] = [levels.subarray(0, middle), levels.subarray(middle)];
  const ninetieth = 0.9 * (zeros + below.length - 1) - zeros; // its place after all zeros
  const unevenness = ninetieth <= 0 ? 0 : percentiles(below, (100 * ninetieth) / (below.length - 1))[0];
  const floor = Math.min(1.5 * unevenness, threshold);
  full = Math.max(above.length ? median(above) : full, floor + 1e-3);
  const result = grid(ink.width, ink.height);
  for (let i = 0; i < ink.data.length; i++) {
    const level = ink.data[i];
    if (level > floor) result.data[i] = level < full ? (level - floor) / (full - floor) : 1;
  }
  return result;
}

/** Returns the values that are not 0, of values that are not below: most of an image is empty. */
function positives(values) {
  const found = new Float32Array(values.length);
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > 0) found[count++] = values[i];
  return found.subarray(0, count);
}

/**
 * Returns the threshold with the highest variance between two groups of values (Otsu 1979):
 * positive ones, and so many zeros.
 */
function otsu(values, zeros) {
  let [lowest, highest] = [zeros ? 0 : Infinity, zeros ? 0 : -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < lowest) lowest = values[i];
    if (values[i] > highest) highest = values[i];
  }
  const width = Math.max(highest - lowest, 1e-12) / 256;
  const counts = new Float64Array(256);
  counts[0] = zeros;
  for (let i = 0; i < values.length; i++) {
    counts[Math.min(255, Math.trunc((values[i] - lowest) / width))]++;
  }
  const center = (bin) => lowest + (bin + 0.5) * width;
  const mass = counts.reduce((sum, count, bin) => sum + count * center(bin), 0);
  let [weight, part] = [0, 0];
  const between = counts.map((count, bin) => {
    weight += count;
    part += count * center(bin);
    const rest = values.length + zeros - weight;
    return weight && rest ? weight * rest * (part / weight - (mass - part) / rest) ** 2 : 0;
  });
  const enough = Math.max(...between) * (1 - 1e-9);
  const best = [...between.keys()].filter((bin) => between[bin] >= enough);
  return lowest + (1 + best[best.length >> 1]) * width;
}

/** Returns 1 for the pixels of strokes and 0 elsewhere. */
function strokeMask(ink) {
  const levels = positives(ink.data);
  return above(ink, clamp(otsu(levels, ink.data.length - levels.length), 0.1, 0.5));
}

/** Returns 1 for the pixels above a level and 0 elsewhere. */
function above({ width, height, data }, level) {
  const mask = grid(width, height, new Uint8Array(data.length));
  for (let i = 0; i < data.length; i++) if (data[i] > level) mask.data[i] = 1;
  return mask;
}

/** Returns the difference to the local background, darker or lighter. */
function inkInUnevenLight(gray) {
  const around = localMedian(gray);
  const difference = mapped(gray, (level) => level);
  difference.data.forEach((level, i, data) => (data[i] = level - around.data[i]));
  const [below, above] = extremes(difference.data);
  const dark = () => closingResidue(gray);
  const light = () => closingResidue(mapped(gray, (level) => -level));
  if (Math.max(-below, above) > 1.3 * Math.min(-below, above)) {
    return -below > above ? dark() : light();
  }
  const residues = [dark(), light()];
  const [darker, lighter] = residues.map((residue) => extremes(residue.data)[1]);
  return darker >= lighter ? residues[0] : residues[1];
}

/** Averages 3x3 pixels against the grain of paper and sensor. */
function blurred(gray) {
  const { width, height, data } = gray;
  const result = grid(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let down = -1; down <= 1; down++) {
        const start = clamp(y + down, 0, height - 1) * width;
        for (let across = -1; across <= 1; across++) {
          sum += data[start + clamp(x + across, 0, width - 1)];
        }
      }
      result.data[y * width + x] = sum / 9;
    }
  }
  return result;
}

/** Returns the median around each pixel of a smaller image, at the full size again. */
function localMedian(gray) {
  const { width, height } = gray;
  const scale = Math.min(1, 48 / Math.max(width, height));
  const [across, down] = [width, height].map((side) => Math.max(1, rint(side * scale)));
  const small = resized(gray, across, down, "box");
  const reach = Math.max(1, Math.trunc(WINDOW * Math.min(across, down)));
  const medians = grid(across, down);
  const levels = Float32Array.from(new Set(small.data)).sort();
  const rankOf = new Map(Array.from(levels, (level, rank) => [level, rank]));
  const ranks = small.data.map((level) => rankOf.get(level));
  const rankAt = (x, y) =>
    ranks[clamp(y, 0, down - 1) * across + clamp(x, 0, across - 1)];
  for (let y = 0; y < down; y++) {
    // The counts of the ranks in the window, and of those below the middle one, which moves along.
    const counts = new Int32Array(levels.length);
    let [middle, below] = [0, 0];
    const change = (x, by) => {
      for (let row = y - reach; row <= y + reach; row++) {
        const rank = rankAt(x, row);
        counts[rank] += by;
        if (rank < middle) below += by;
      }
    };
    for (let x = -reach; x < reach; x++) change(x, 1);
    const half = ((2 * reach + 1) ** 2 - 1) / 2;
    for (let x = 0; x < across; x++) {
      change(x + reach, 1);
      while (below > half) below -= counts[--middle];
      while (below + counts[middle] <= half) below += counts[middle++];
      medians.data[y * across + x] = levels[middle];
      change(x - reach, -1);
    }
  }
  return resized(medians, width, height, "bilinear");
}

/** Returns how much darker each pixel is than the local background: closing less the image. */
function closingResidue(gray) {
  const { width, height, data } = gray;
  const size = 2 * (rint(WINDOW * Math.min(width, height)) >> 1) + 1;
  const [across, down] = [width, height].map((side) => Math.min(size, side - 1));
  const wide = grid(width + 2 * across, height + 2 * down);
  for (let y = 0; y < wide.height; y++) {
    for (let x = 0; x < wide.width; x++) {
      wide.data[y * wide.width + x] = continued(gray, x - across, y - down);
    }
  }
  const negated = (image) => mapped(image, (level) => -level);
  const closed = negated(maxFilter(negated(maxFilter(wide, size)), size));
  const result = grid(width, height);
  for (let y = 0; y < height; y++) {
    const start = (y + down) * wide.width + across;
    for (let x = 0; x < width; x++) {
      result.data[y * width + x] = closed.data[start + x] - data[y * width + x];
    }
  }
  return result;
}

/** Returns a level of an image that is continued beyond its borders with its slope there. */
function continued(image, x, y) {
  const edge = clamp(y, 0, image.height - 1);
  if (edge !== y) return 2 * continued(image, x, edge) - continued(image, x, 2 * edge - y);
  const side = clamp(x, 0, image.width - 1);
  const at = (column) => image.data[y * image.width + column];
  return side === x ? at(x) : 2 * at(side) - at(2 * side - x);
}

/** Returns the highest level in a square of odd side around each pixel. */
function maxFilter(image, size) {
  const rows = slidingMax(image, size);
  return transposed(slidingMax(transposed(rows), size));
}

/** Returns the highest of so many levels around each pixel, in its column. */
function slidingMax({ width, height, data }, size) {
  const half = size >> 1;
  let values = new Float32Array((height + 2 * half) * width).fill(-Infinity);
  values.set(data, half * width);
  for (let reach = 1; reach < size; ) {
    const step = Math.min(reach, size - reach); // each comparison doubles the window
    const next = values.subarray(step * width);
    const wider = new Float32Array(next.length);
    for (let i = 0; i < next.length; i++) wider[i] = values[i] > next[i] ? values[i] : next[i];
    values = wider;
    reach += step;
  }
  return grid(width, height, values);
}

/** Removes the lines of ruled and squared paper, which cross the whole image. */
function removeRuledLines(ink, bands = 1) {
  if (bands === 1 && !crossings(ink).includes(true)) return ink; // a fast way out for nearly all images
  for (let turn = 0; turn < 2; turn++) {
    const parts = [];
    for (let band = 0, left = 0; band < bands; band++) {
      const extra = band < ink.width % bands ? 1 : 0;
      const right = left + Math.floor(ink.width / bands) + extra;
      parts.push(transposed(withoutRows(crop(ink, { left, top: 0, right, bottom: ink.height }))));
      left = right;
    }
    const stacked = grid(ink.height, ink.width); // transposed
    let start = 0;
    for (const part of parts) {
      stacked.data.set(part.data, start);
      start += part.data.length;
    }
    ink = stacked;
  }
  return ink;
}

/** Removes the lines from the left border to the right one. */
function withoutRows(ink) {
  const { width, height, data } = ink;
  const lines = findLines(ink);
  if (!lines.length) return ink;
  const cleared = grid(width, height, data.slice());
  const columns = [...Array(width).keys()];
  for (const { rows, reach } of lines) {
    const level = median(Float32Array.from(columns, (x) => data[rows[x] * width + x]));
    if (lines.length < 3 && level > 0.6) continue;
    const at = (x, offset) => clamp(rows[x] + offset, 0, height - 1) * width + x;
    const isInked = (x, offset) =>
      [-2, -1, 0, 1, 2].some(
        (by) => x + by >= 0 && x + by < width && data[at(x + by, offset)] > 0.5,
      );
    const crossing = columns.map((x) => isInked(x, -reach - 1) && isInked(x, reach + 1));
    for (let offset = -reach; offset <= reach; offset++) {
      for (const x of columns) {
        if (data[at(x, offset)] <= level + 0.25 && !crossing[x]) cleared.data[at(x, offset)] = 0;
      }
    }
  }
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  return total(cleared.data) >= 0.1 * total(data) ? cleared : ink;
}

/** Returns whether ink goes from the left border to the right one, and from top to bottom. */
function crossings({ width, height, data }) {
  if (Math.min(width, height) < 64) return [false, false];
  const [columns, rows] = [new Uint8Array(width), new Uint8Array(height)];
  for (let row = 0, i = 0; row < height; row++) {
    for (let x = 0; x < width; x++, i++) if (data[i] > LINE_INK) columns[x] = rows[row] = 1;
  }
  return [columns, rows].map((inked) => {
    const edge = Math.floor(inked.length / 20);
    const share = inked.reduce((sum, each) => sum + each, 0) / inked.length;
    return share >= 0.75 && inked.slice(0, edge).includes(1) && inked.slice(-edge).includes(1);
  });
}

/** Finds thin straight lines: the row of each in every column, and half its width. */
function findLines(ink) {
  const { width, height } = ink;
  if (!crossings(ink)[0]) return [];
  const { data } = above(ink, LINE_INK);
  const steepest = Math.tan((5 * Math.PI) / 180);
  const reach = rint((steepest * width) / 2) + 1;
  const step = Math.max(1, Math.floor(width / 100));
  const best = new Float64Array(height).fill(-1);
  const slopes = new Array(height);
  for (let number = 0; number <= 2 * reach; number++) {
    const slope = -steepest + (steepest / reach) * number;
    const offsets = Int32Array.from({ length: width }, (_, x) => rint(slope * (x - width / 2)));
    for (let row = 0; row < height; row++) {
      let [covered, count] = [0, 0];
      for (let x = 0; x < width; x += step, count++) {
        const at = row + offsets[x];
        if (at >= 0 && at < height) covered += data[at * width + x];
      }
      if (covered / count > best[row]) {
        best[row] = covered / count;
        slopes[row] = offsets;
      }
    }
  }
  const lines = [];
  for (let first = 0; first < height; first++) {
    if (best[first] < 0.75) continue;
    let end = first;
    while (end < height && best[end] >= 0.75) end++;
    let center = first;
    for (let row = first; row < end; row++) if (best[row] > best[center]) center = row;
    const thickness = end - first;
    first = end;
    if (thickness > Math.max(3, 0.04 * height)) continue;
    if (center > 0.05 * height && center < 0.95 * height) {
      const rows = slopes[center].map((offset) => clamp(center + offset, 0, height - 1));
      lines.push({ rows, reach: (thickness >> 1) + 1 });
    }
  }
  return lines;
}

/**
 * Labels connected pixels, diagonals included, run by run. Returns `labels` (0 for the background,
 * i + 1 for component i), and the boxes and masses of the heaviest components, heaviest first.
 */
function findComponents(mask, ink) {
  const runs = runsOf(mask, ink);
  const found = [];
  for (const run of runs) {
    const root = rootOf(run);
    if (root.index === undefined) {
      root.index = found.length;
      found.push({ box: { left: mask.width, top: run.row, right: 0, bottom: 0 }, mass: 0 });
    }
    const component = found[root.index];
    const { box } = component;
    component.mass += run.mass;
    box.left = Math.min(box.left, run.start);
    box.right = Math.max(box.right, run.end);
    box.bottom = run.row + 1;
  }
  const order = [...found.keys()].sort((a, b) => found[b].mass - found[a].mass || a - b);
  const ranks = new Int32Array(found.length);
  order.forEach((index, rank) => (ranks[index] = rank + 1));
  const labels = new Int32Array(mask.data.length);
  for (const run of runs) {
    const start = run.row * mask.width;
    labels.fill(ranks[rootOf(run).index], start + run.start, start + run.end);
  }
  const heaviest = order.slice(0, 150).map((index) => found[index]);
  return {
    labels,
    boxes: heaviest.map((each) => each.box),
    mass: heaviest.map((each) => each.mass),
  };
}

/** Returns the runs of pixels in rows, each joined to those that it touches in the row above. */
function runsOf({ width, height, data }, ink) {
  const runs = [];
  let above = 0; // the first run of the row above that may touch
  for (let row = 0; row < height; row++) {
    const first = runs.length;
    const offset = row * width;
    for (let x = 0; x < width; x++) {
      if (!data[offset + x]) continue;
      const run = { row, start: x, end: x, mass: 0, parent: null, index: undefined };
      for (; x < width && data[offset + x]; x++) run.mass += ink.data[offset + x];
      run.end = x;
      while (above < first && runs[above].end < run.start) above++;
      for (let other = above; other < first && runs[other].start <= run.end; other++) {
        const [root, own] = [rootOf(runs[other]), rootOf(run)];
        if (root !== own) own.parent = root;
      }
      runs.push(run);
    }
    above = first;
  }
  return runs;
}

function rootOf(run) {
  while (run.parent) {
    if (run.parent.parent) run.parent = run.parent.parent;
    run = run.parent;
  }
  return run;
}

/** Returns ink without that of some components, for each of which `isRemoved` is called. */
function without(components, ink, isRemoved) {
  const removed = components.boxes.map(isRemoved);
  const data = ink.data.map((level, i) => (removed[components.labels[i] - 1] ? 0 : level));
  return grid(ink.width, ink.height, data);
}

/** Returns the box around boxes. */
function union(boxes) {
  return {
    left: Math.min(...boxes.map((box) => box.left)),
    top: Math.min(...boxes.map((box) => box.top)),
    right: Math.max(...boxes.map((box) => box.right)),
    bottom: Math.max(...boxes.map((box) => box.bottom)),
  };
}

/**
 * Finds the shape that is the digit: the heaviest one. Returns the numbers of its components, the
 * number of other shapes as large as a digit, and the digit's fraction of all ink but frames.
 */
function findDigit(components, ink, mask) {
  const { boxes, mass } = components;
  const usable = [...boxes.keys()].filter((i) => !isFrame(components, mask, i));
  const inked = boundingBox(mask);
  const [strokes, inMask] = [crop(ink, inked), crop(mask, inked)];
  const solid = grid(strokes.width, strokes.height);
  for (let i = 0; i < solid.data.length; i++) solid.data[i] = strokes.data[i] * inMask.data[i];
  const massOf = (shape) => shape.reduce((sum, i) => sum + mass[i], 0);
  const boxOf = (shape) => union(shape.map((i) => boxes[i]));
  const shapes = groupedShapes(boxes, usable, strokeWidth(solid)).map((shape) => {
    const borders = touchedBorders(boxOf(shape), mask);
    return { shape, borders, weight: massOf(shape) * [1, 0.3, 0.03, 0.003, 0.003][borders] };
  });
  shapes.sort((a, b) => b.weight - a.weight);
  const heaviest = Math.max(...shapes[0].shape.map((i) => mass[i]));
  const digit = shapes[0].shape.filter((i) => mass[i] >= 0.04 * heaviest);
  const [total, side] = [massOf(digit), longerSide(boxOf(digit))];
  const others = shapes.slice(1).filter(({ shape, borders }) => {
    const isLarge = massOf(shape) >= 0.2 * total && longerSide(boxOf(shape)) >= 0.4 * side;
    return !borders && isLarge;
  });
  return { digit: new Set(digit), others: others.length, coverage: total / massOf(usable) };
}

/** Returns true if a component has four straight sides and ink inside. */
function isFrame({ boxes, mass, labels }, mask, i) {
  const box = boxes[i];
  const [width, height] = [box.right - box.left, box.bottom - box.top];
  const encloses = boxes.some(
    (other, j) =>
      other.left > box.left && other.top > box.top &&
      other.right < box.right && other.bottom < box.bottom &&
      other.bottom - other.top >= 0.25 * height && mass[j] >= 0.05 * mass[i],
  );
  if (!encloses) return false;
  const isInk = (x, y) => labels[(box.top + y) * mask.width + box.left + x] === i + 1;
  const covers = (length, depth, isInkAt) => {
    let count = 0;
    for (let along = 0; along < length; along++) {
      for (let deep = 0; deep < depth; deep++) {
        if (isInkAt(along, deep)) {
          count++;
          break;
        }
      }
    }
    return count >= 0.8 * length;
  };
  const [down, across] = [height, width].map((side) => Math.max(1, rint(0.12 * side)));
  return (
    covers(width, down, (x, y) => isInk(x, y)) &&
    covers(width, down, (x, y) => isInk(x, height - 1 - y)) &&
    covers(height, across, (y, x) => isInk(x, y)) &&
    covers(height, across, (y, x) => isInk(width - 1 - x, y))
  );
}

/** Groups components that are near each other; `width` is that of the strokes in pixels. */
function groupedShapes(boxes, usable, width) {
  const gap = (a, b) =>
    Math.hypot(
      Math.max(0, a.left - b.right, b.left - a.right),
      Math.max(0, a.top - b.bottom, b.top - a.bottom),
    );
  let left = [...usable];
  const shapes = [];
  while (left.length) {
    const shape = [];
    const edge = [left.shift()];
    while (edge.length) {
      const i = edge.pop();
      shape.push(i);
      const isNear = (other) => {
        const side = Math.max(longerSide(boxes[i]), longerSide(boxes[other]));
        return gap(boxes[other], boxes[i]) <= Math.max(2.5 * width, 0.15 * side);
      };
      edge.push(...left.filter(isNear));
      left = left.filter((other) => !edge.includes(other));
    }
    shapes.push(shape);
  }
  return shapes;
}

/** Returns the number of an image's borders that a box touches, to within 1 %. */
function touchedBorders(box, { width, height }) {
  const near = Math.floor(Math.min(width, height) / 100);
  const gaps = [box.left, box.top, width - box.right, height - box.bottom];
  return gaps.filter((gap) => gap <= near).length;
}

/** Returns the width of strokes in pixels: their area, divided by half the length of their outline. */
function strokeWidth(ink) {
  const { width, data } = padded(ink, 1);
  let [outline, total] = [0, 0];
  for (let i = 0; i < data.length - width - 1; i++) {
    const here = data[i];
    const down = data[i + width] - here;
    const right = data[i + 1] - here;
    if (down !== 0 || right !== 0) outline += Math.sqrt(down * down + right * right);
    total += here;
  }
  return outline ? (2 * total) / outline : 0;
}
