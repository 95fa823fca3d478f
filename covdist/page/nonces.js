"use strict";
// Bokeh makes style elements of its own; the policy of this page allows those that bear its number.
(() => {
  const once = document.currentScript.dataset.once;
  const create = document.createElement.bind(document);
  document.createElement = (name, ...options) => {
    const made = create(name, ...options);
    if (String(name).toLowerCase() === "style") made.nonce = once;
    return made;
  };
})();
