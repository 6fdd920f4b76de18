// Images as grids of numbers, and what Python's, NumPy's and Pillow's functions do to them.

/** An image: `data`, float32 or bytes, row by row. */
function grid(width, height, data = new Float32Array(width * height)) {
  return { width, height, data };
}

/** Returns a grid with a function of each value. */
function mapped(image, change) {
  const result = grid(image.width, image.height);
  for (let i = 0; i < image.data.length; i++) result.data[i] = change(image.data[i]);
  return result;
}

/** Rounds to the nearest integer, halves to the even one, as Python's round and NumPy's rint. */
function rint(number) {
  const rounded = Math.round(number);
  return Math.abs(number % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

const clamp = (number, low, high) => Math.min(Math.max(number, low), high);
const longerSide = (box) => Math.max(box.right - box.left, box.bottom - box.top);
const everything = (image) => ({ left: 0, top: 0, right: image.width, bottom: image.height });

/** Returns a box wider by a margin on each side, within an image. */
function withMargin(box, margin, image) {
  return {
    left: Math.max(box.left - margin, 0),
    top: Math.max(box.top - margin, 0),
    right: Math.min(box.right + margin, image.width),
    bottom: Math.min(box.bottom + margin, image.height),
  };
}

/** Returns the pixels in a box; the image itself if the box is around everything. */
function crop(image, { left, top, right, bottom }) {
  const width = right - left;
  if (width === image.width && bottom - top === image.height) return image;
  const data = new image.data.constructor(width * (bottom - top));
  for (let row = top; row < bottom; row++) {
    const start = row * image.width;
    data.set(image.data.subarray(start + left, start + right), (row - top) * width);
  }
  return grid(width, bottom - top, data);
}

/** Returns an image with a margin of one level around it. */
function padded(image, margin, level = 0) {
  const width = image.width + 2 * margin;
  const data = new image.data.constructor(width * (image.height + 2 * margin)).fill(level);
  for (let row = 0; row < image.height; row++) {
    const start = row * image.width;
    data.set(image.data.subarray(start, start + image.width), (row + margin) * width + margin);
  }
  return grid(width, image.height + 2 * margin, data);
}

function transposed(image) {
  const { width, height, data } = image;
  const result = grid(height, width, new data.constructor(data.length));
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      result.data[column * height + row] = data[row * width + column];
    }
  }
  return result;
}

/** Returns the smallest box around the values above a level, or null if there are none. */
function boundingBox(image, level = 0) {
  const { width, height, data } = image;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (data[i] > level) {
        if (column < left) left = column;
        if (column >= right) right = column + 1;
        if (row < top) top = row;
        bottom = row + 1;
      }
    }
  }
  return right ? { left, top, right, bottom } : null;
}

/** Returns the values of the outermost pixels, a twentieth of the shorter side wide. */
function borderOf({ width, height, data }) {
  const depth = Math.max(1, Math.floor(Math.min(width, height) / 20));
  if (2 * depth >= Math.min(width, height)) return data.slice();
  const inside = (width - 2 * depth) * (height - 2 * depth);
  const values = new Float32Array(data.length - inside);
  let count = 0;
  const take = (start, end) => {
    values.set(data.subarray(start, end), count);
    count += end - start;
  };
  take(0, depth * width);
  for (let row = depth; row < height - depth; row++) {
    take(row * width, row * width + depth);
    take((row + 1) * width - depth, (row + 1) * width);
  }
  take((height - depth) * width, data.length);
  return values;
}

/** Moves the k-th smallest value to its place, smaller ones before it and larger ones after it. */
function select(values, k) {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const pivot = values[(low + high) >> 1];
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        const value = values[i];
        values[i++] = values[j];
        values[j--] = value;
      }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return values[k];
}

/** Returns percentiles of values, which are reordered; between two values they are interpolated. */
function percentiles(values, ...percents) {
  return percents.map((percent) => {
    const position = (percent / 100) * (values.length - 1);
    const below = Math.floor(position);
    const lower = select(values, below);
    if (position === below) return lower;
    let upper = Infinity;
    for (let i = below + 1; i < values.length; i++) if (values[i] < upper) upper = values[i];
    return Math.fround(lower + (upper - lower) * (position - below));
  });
}

const median = (values) => percentiles(values, 50)[0];

/**
 * Returns the lowest and highest value, without a few hot or dead pixels: percentiles so near the
 * ends that one pass finds them. Beside positive values, there may be so many zeros.
 */
function extremes(values, zeros = 0) {
  const last = values.length + zeros - 1;
  const rank = Math.min(0.001, 20 / (last + 1)) * last;
  const below = Math.floor(rank);
  const [low, high] = [new Float32Array(below + 2), new Float32Array(below + 2)];
  low.fill(Infinity).fill(0, 0, zeros); // the lowest values, ascending
  high.fill(-Infinity).fill(0, 0, zeros); // the highest, descending
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < low[below + 1]) {
      let at = below + 1;
      for (; at > 0 && low[at - 1] > value; at--) low[at] = low[at - 1];
      low[at] = value;
    }
    if (value > high[below + 1]) {
      let at = below + 1;
      for (; at > 0 && high[at - 1] < value; at--) high[at] = high[at - 1];
      high[at] = value;
    }
  }
  const between = (ends) => {
    const next = Math.min(below + 1, last);
    return Math.fround(ends[below] + (ends[next] - ends[below]) * (rank - below));
  };
  return [between(low), between(high)];
}

/** The kernels of Pillow's resampling: how far each reaches, and its weight at a distance. */
const KERNELS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [
    1,
    (x) => {
      const turn = Math.abs(x) * Math.PI;
      if (turn === 0) return 1;
      return turn >= Math.PI ? 0 : (Math.sin(turn) / turn) * (0.54 + 0.46 * Math.cos(turn));
    },
  ],
  bicubic: [
    2,
    (x) => {
      const far = Math.abs(x);
      if (far < 1) return (1.5 * far - 2.5) * far * far + 1;
      return far < 2 ? ((far - 5) * far + 8) * far * -0.5 + 2 : 0;
    },
  ],
};

/** Scales an image as Pillow does: the kernel widens with the reduction, so that it averages. */
function resized(image, width, height, kernel) {
  const across = scaledRows(transposed(image), width, kernel);
  return scaledRows(transposed(across), height, kernel);
}

/** Scales an image to so many rows. */
function scaledRows(image, rows, kernel) {
  if (rows === image.height) return image;
  const [reach, weightAt] = KERNELS[kernel];
  const scale = image.height / rows;
  const widening = Math.max(1, scale);
  const result = grid(image.width, rows);
  const sums = new Float64Array(image.width);
  for (let row = 0; row < rows; row++) {
    const center = (row + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach * widening + 0.5));
    const end = Math.min(image.height, Math.trunc(center + reach * widening + 0.5));
    const weights = [];
    for (let at = first; at < end; at++) weights.push(weightAt((at - center + 0.5) / widening));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    sums.fill(0);
    weights.forEach((weight, i) => {
      const start = (first + i) * image.width;
      for (let x = 0; x < image.width; x++) sums[x] += image.data[start + x] * (weight / total);
    });
    result.data.set(sums, row * image.width);
  }
  return result;
}

/** Returns an image of which the longer side has at most so many pixels. */
function downscaled(image, side) {
  const longest = Math.max(image.width, image.height);
  if (longest <= side) return image;
  const [width, height] = [image.width, image.height].map((length) =>
    Math.max(1, rint((length * side) / longest)),
  );
  return resized(image, width, height, "box");
}
