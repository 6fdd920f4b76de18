// Messages: texts with {names} in place of values, as they are in the catalog of translations.

/** Returns a message that is translated when it is shown. */
function message(text, values = {}) {
  return { text, values };
}

/** Returns a text with the values in place of their {names}. */
function filled({ text, values }) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
