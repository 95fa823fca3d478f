"use strict";
(async () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paper = matchMedia("print");
  const touched = matchMedia("(pointer: coarse)").matches;
  const views = [];
  let printing = false;

  const colours = () => {
    const night = dark.matches && !paper.matches && !printing;
    const ink = night ? "#e4e7eb" : "#1f2933", faint = night ? "#3e4c59" : "#dde2e8";
    const axis = {axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink,
      major_tick_line_color: ink, minor_tick_line_color: null};
    return {LinearAxis: axis, LogAxis: axis, Grid: {grid_line_color: faint}, ColorBar: {major_label_text_color: ink}, Figure: {outline_line_color: faint}};
  };

  const objects = function* (value) {
    if (Array.isArray(value)) for (const each of value) yield* objects(each);
    else if (value !== null && typeof value === "object") {
      if (value.type === "object" && typeof value.name === "string") yield value;
      for (const each of Object.values(value)) yield* objects(each);
    }
  };

  // Names come from a log: as plain text, bokeh looks for no formulas in them.
  const plain = (text, id) => ({type: "object", name: "PlainText", id, attributes: {text}});
  const short = text => text.length > 16 ? text.slice(0, 7) + "…" + text.slice(-8) : text;

  // Names that are alike when they are short are cut around the place where they differ.
  const shortened = names => {
    const alike = new Map();
    for (const name of new Set(names)) alike.set(short(name), [...alike.get(short(name)) ?? [], name]);
    return names.map(name => {
      const others = alike.get(short(name));
      if (others.length === 1) return short(name);
      let same = 0;
      while (others.every(other => other[same] === name[same])) same++;
      return `…${name.slice(same - 6, same + 8)}…`;
    });
  };
  const labelled = (side, names, key) => {
    for (const axis of side ?? []) if (axis.name === "LinearAxis" && names !== undefined)
      axis.attributes.major_label_overrides = {type: "map",
        entries: shortened(names).map((name, place) => [place, plain(name, `${key}-${place}`)])};
  };

  const write = (number, digits) => Number.isFinite(number) ? Number(number.toPrecision(digits)).toString() : "";
  const said = (name, names, scale) => value => {
    if (name !== "image") return names[name]?.[Math.round(value)] ?? "";
    if (value < -127) return "no value";
    const at = scale.low + (value + 127) / 254 * (scale.high - scale.low);
    return write(scale.log ? 10 ** at : Math.abs(at) < 1e-9 ? 0 : at, 2);
  };

  const models = ({model: {document: drawn}}) => drawn.all_models ?? drawn._all_models.values();

  for (const place of document.querySelectorAll("[data-figure]")) {
    const {item, names, scale} = JSON.parse(document.getElementById(place.dataset.figure).textContent);
    const theme = colours();
    for (const found of objects(item)) {
      Object.assign(found.attributes ??= {}, theme[found.name]);
      if (found.name === "Figure") {
        labelled(found.attributes.below, names.x, place.dataset.figure + "-x");
        labelled(found.attributes.left, names.y, place.dataset.figure + "-y");
      }
      if (found.name === "BasicTicker" || found.name === "LogTicker")
        found.attributes.desired_num_ticks = place.clientWidth < 500 ? 4 : 6;
      if (found.name === "Toolbar" && touched) found.attributes.active_drag = null;  // a finger scrolls the page
    }
    const [view] = (await Bokeh.embed.embed_item(item, place)).roots;
    for (const model of models(view))
      if (model.type === "CustomJSHover") model.format = said(model.name, names, scale);
    views.push(view);
  }

  const recolour = () => {
    const theme = colours();
    for (const view of views) {
      for (const model of models(view)) if (model.type in theme) model.setv(theme[model.type]);
      view.repaint();  // at once: paper does not wait for the next frame
    }
  };
  dark.addEventListener("change", recolour);
  paper.addEventListener("change", recolour);
  for (const [when, now] of [["beforeprint", true], ["afterprint", false]])
    addEventListener(when, () => { printing = now; recolour(); });
  document.documentElement.dataset.drawn = views.length;
})();
