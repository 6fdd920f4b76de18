// The network: its weights, the activations of its layers, softmax and the loss.

/**
 * Reads the layers from their float32 weights in base64: for each layer the weights, a row for
 * each output, then the biases. `sizes` are the widths from the input to the output.
 */
function decodeLayers(base64, sizes) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const numbers = new Float32Array(bytes.buffer);
  let start = 0;
  return sizes.slice(1).map((outputs, i) => {
    const inputs = sizes[i];
    const weights = numbers.subarray(start, (start += inputs * outputs));
    return { inputs, outputs, weights, biases: numbers.subarray(start, (start += outputs)) };
  });
}

/** Returns the outputs of each layer for 28x28 gray levels in 0..255; those of the last are scores. */
function runLayers(layers, pixels) {
  let input = Float64Array.from(pixels);
  return layers.map(({ inputs, outputs, weights, biases }, number) => {
    const active = [];
    for (let i = 0; i < inputs; i++) if (input[i] !== 0) active.push(i); // most pixels are black
    const output = new Float64Array(outputs);
    for (let row = 0, start = 0; row < outputs; row++, start += inputs) {
      let sum = biases[row];
      for (let k = 0; k < active.length; k++) sum += weights[start + active[k]] * input[active[k]];
      output[row] = number < layers.length - 1 ? Math.max(sum, 0) : sum;
    }
    input = output;
    return output;
  });
}

/** Returns the probabilities of scores: the largest is subtracted first, so that nothing overflows. */
function softmax(scores) {
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((total, each) => total + each, 0);
  return exponentials.map((each) => each / sum);
}

/** Returns -log p of a class, which stays finite where p is too small for a number. */
function crossEntropy(scores, target) {
  const largest = Math.max(...scores);
  const sum = scores.reduce((total, score) => total + Math.exp(score - largest), 0);
  return Math.log(sum) + largest - scores[target];
}
