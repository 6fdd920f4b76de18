// Numbers as text, as console/softmax_numbers.py formats them: none reads as 0 or 1 that is not.

/** Formats a probability, or a difference of two: only exactly 1 is shown as 1. */
function share(value, sign = "") {
  let decimals = 3;
  while (decimals < 16 && Math.abs(value) < 1 && Number(Math.abs(value).toFixed(decimals)) === 1) {
    decimals += 1;
  }
  return fixed(value, decimals, sign);
}

/** Formats a number with fixed decimals, and one too small for them with an exponent. */
function fixed(value, decimals = 3, sign = "") {
  const isLarge = Math.abs(value) >= 10 ** -decimals || value === 0;
  const text = isLarge ? value.toFixed(decimals) : withExponent(value.toExponential(1));
  return (sign === "+" && !text.startsWith("-") ? "+" : "") + text;
}

/** Formats a number with significant digits and no zeros after them, as Python's "g" does. */
function general(value, digits) {
  const text = value.toExponential(digits - 1);
  const exponent = Number(text.split("e")[1]);
  if (exponent < -4 || exponent >= digits) {
    return withExponent(text.replace(/\.?0+(?=e)/, ""));
  }
  const plain = value.toFixed(digits - 1 - exponent);
  return plain.includes(".") ? plain.replace(/\.?0+$/, "") : plain;
}

/** Returns a number with at least two digits in its exponent. */
function withExponent(text) {
  return text.replace(/e([-+])(\d)$/, "e$10$2");
}

/**
 * Formats e^z with four significant digits or more, also beyond the largest number. Where numbers
 * end, the mantissa has the digits that the logarithm tells.
 */
function exponential(z, digits = 4) {
  const value = Math.exp(z);
  if (Number.isFinite(value) && value > 0) return general(value, digits);
  const logarithm = z / Math.LN10;
  let exponent = Math.floor(logarithm);
  let mantissa = general(10 ** (logarithm - exponent), digits);
  if (mantissa === "10") [mantissa, exponent] = ["1", exponent + 1];
  return `${mantissa}e${exponent < 0 ? "" : "+"}${exponent}`;
}

/**
 * Returns e^z of the best class, the sum of all, and the probability, their quotient: with four
 * digits, or with as few more as the quotient of the printed numbers needs.
 */
function quotient(scores, best) {
  const sum = scores.reduce((total, z) => total + Math.exp(z - scores[best]), 0);
  const p = share(1 / sum);
  const power = Math.exp(scores[best]);
  const isNumber = power > 0 && Number.isFinite(power * sum);
  const value = isNumber ? power : 10 ** ((scores[best] / Math.LN10) % 1);
  const read = (number, digits) => Number(number.toExponential(digits - 1));
  let digits = 4;
  while (digits < 17 && share(read(value, digits) / read(value * sum, digits)) !== p) digits += 1;
  if (isNumber) return { power: general(power, digits), sum: general(power * sum, digits), p };
  const ends = [scores[best], scores[best] + Math.log(sum)];
  const [top, whole] = ends.map((z) => exponential(z, digits));
  return { power: top, sum: whole, p };
}
