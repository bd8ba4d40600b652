// Shows the figures of plots/interactive in a page, with Bokeh, which must be loaded before.
// Text from results only ever becomes text: by textContent here, and in what Bokeh shows.
"use strict";

window.crawlbench = (() => {
  const isDark = window.matchMedia("(prefers-color-scheme: dark)");
  const DARK = {"#1b1f24": "#e6edf3", "#57606a": "#a5afba", "#d0d7de": "#3d444d"};
  const LEAST_LIGHT = 0.45;  // of 1; darker colours are hard to see on a dark page
  // Bokeh's own ticks of less than two decades are evenly spread: crowded at one end. Labels that
  // would overlap are left out.
  const LOG_TICKS = Array.from({length: 16}, (_, at) => [1, 1.5, 2, 3, 5, 7].map(one => one * 10 ** (at - 6))).flat();
  const MOST_LIVE = 1200;  // points of a live source: five minutes of four a second
  const views = new Map();  // by the element that each is shown in
  let embedding = Promise.resolve();  // Bokeh embeds one figure after another

  function create(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function onDark(colour) {
    if (!/^#[0-9a-f]{6}$/i.test(colour)) return colour;
    if (DARK[colour]) return DARK[colour];
    const parts = [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16) / 255);
    const light = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    const share = Math.max(0, (LEAST_LIGHT - light) / (1 - light));
    return "#" + parts.map(part => Math.round(255 * (part + share * (1 - part))).toString(16).padStart(2, "0")).join("");
  }

  // Calls `change` with each model of an item: {type, name, id, attributes}. Data is left alone.
  function eachModel(value, change) {
    if (Array.isArray(value)) return value.forEach(one => eachModel(one, change));
    if (value === null || typeof value !== "object" || value.type === "ndarray") return;
    if (value.type === "object" && value.attributes) change(value);
    if (value.name === "ColumnDataSource") return;
    Object.values(value).forEach(one => eachModel(one, change));
  }

  // Returns the item with what was streamed, the scales of the view's axes, and the page's colours.
  function adapted(view) {
    const item = structuredClone(view.figure.item);
    const isLog = {"x-axis": view.axes.x === "log", "y-axis": view.axes.y === "log"};
    eachModel(item.doc.roots, model => {
      const of = model.attributes;
      if (model.name === "ColumnDataSource" && of.name) {
        const columns = columnsOf(of.name, of.data.entries.map(([key]) => key), view.streamed);
        if (columns) of.data.entries = Object.entries(columns);
      }
      if (model.name === "Figure") {
        for (const axis of ["x", "y"]) {
          if (view.axes[axis] !== "log") continue;
          of[`${axis}_scale`] = {type: "object", name: "LogScale", id: `${axis}-log`};
          delete of[`${axis}_range`].attributes?.start;  // 0 is nowhere on such an axis
        }
      }
      // As the axis of a figure that grows begins, so it goes on.
      if (of.name === "y-range" && view.figure.live?.length && view.axes.y !== "log") of.start = 0;
      if (model.name === "LinearAxis" && isLog[of.name]) {
        model.name = "LogAxis";
        if (of.ticker.name === "BasicTicker") {
          Object.assign(of.ticker, {name: "FixedTicker", attributes: {ticks: LOG_TICKS}});
        }
      }
      for (const [key, value] of Object.entries(of)) {
        if (!isDark.matches || !key.endsWith("_color")) continue;
        if (typeof value === "string") of[key] = onDark(value);
        else if (typeof value?.value === "string") of[key] = {...value, value: onDark(value.value)};
      }
    });
    return item;
  }

  function embed(view) {
    embedding = embedding.then(async () => {
      if (views.get(view.element) !== view || !view.isBegun) return;
      view.manager?.clear();
      view.place.replaceChildren();
      view.manager = await Bokeh.embed.embed_item(adapted(view), view.place);
      view.document = Bokeh.documents.at(-1);
      update(view);
    }).catch(error => view.place.replaceChildren(create("p", {textContent: `The figure cannot be drawn: ${error.message}`})));
    return embedding;
  }

  // Embeds a view that is near what is seen; a live one only with a point, without which its axes
  // have no range.
  function begin(view) {
    const rows = [...view.streamed.values()];
    const hasPoint = columns => (view.metric ? [view.metric] : Object.keys(columns)).every(key => columns[key].some(one => one !== null));
    if (view.isBegun || !view.isWanted || (view.figure.live?.length && !rows.some(hasPoint))) return;
    view.isBegun = true;
    embed(view);
  }

  // Brings what is drawn in line with what is chosen: live data, the metric, the series.
  function update(view) {
    const doc = view.document;
    if (!doc) return;
    for (const name of [...view.streamed.keys()].flatMap(one => [one, `medians:${one}`])) {
      const source = doc.get_model_by_name(name);
      if (source) source.data = columnsOf(name, Object.keys(source.data), view.streamed);
    }
    const metric = view.figure.metrics.find(one => one.key === view.metric);
    let least = Infinity;
    for (const series of view.figure.series) {
      for (const name of series.renderers) {
        const renderer = doc.get_model_by_name(name);
        const source = renderer.data_source, data = source.data;
        const own = metric && `y_${metric.key}`;
        if (metric && own in data) {
          const chosen = {...data};
          for (const part of ["y", "low", "high"]) {
            if (`${part}_${metric.key}` in data) chosen[part] = data[`${part}_${metric.key}`];
          }
          source.data = chosen;
        }
        const isKnown = !metric || own in data;
        renderer.visible = isKnown && !view.hidden.has(series.name);
        if (isKnown && source.data.y) for (const y of source.data.y) if (y < least) least = y;
      }
    }
    if (!metric) return;
    doc.get_model_by_name("y-axis").axis_label = metric.label;
    if (view.axes.y === "linear") doc.get_model_by_name("y-range").start = least >= 0 ? 0 : null;
  }

  function choice(label, options, value, choose) {
    const select = create("select", {}, ...options.map(([key, text]) => create("option", {value: key, textContent: text})));
    select.value = value;
    select.addEventListener("change", () => choose(select.value));
    return create("label", {}, `${label} `, select);
  }

  function controls(view) {
    const {figure} = view, found = create("div", {className: "cb-controls"});
    if (figure.metrics.length > 1) {
      const options = figure.metrics.map(one => [one.key, one.label]);
      found.append(choice("Show", options, view.metric, key => { view.metric = key; update(view); }));
    }
    for (const axis of Object.keys(figure.axes)) {
      const options = [["linear", "linear"], ["log", "logarithmic"]];
      found.append(choice(`${axis} axis`, options, view.axes[axis], kind => { view.axes[axis] = kind; embed(view); }));
    }
    if (figure.series.length > 1) {
      const boxes = figure.series.map(series => {
        const box = create("input", {type: "checkbox", checked: !view.hidden.has(series.name)});
        box.addEventListener("change", () => {
          view.hidden[box.checked ? "delete" : "add"](series.name);
          update(view);
        });
        const swatch = create("span", {className: "cb-swatch"});
        swatch.dataset.colour = series.colour;
        return create("label", {}, box, swatch, series.name);
      });
      found.append(create("fieldset", {className: "cb-series"}, create("legend", {textContent: "Shown"}), ...boxes));
    }
    return found;
  }

  function paint(element) {
    for (const swatch of element.querySelectorAll(".cb-swatch")) {
      swatch.style.background = isDark.matches ? onDark(swatch.dataset.colour) : swatch.dataset.colour;
    }
  }

  function numbers(table) {
    if (!table.rows.length) return [];
    const cells = (name, texts) => texts.map(text => create(name, {textContent: text}));
    const head = create("tr", {}, ...cells("th", table.columns));
    head.querySelectorAll("th").forEach(one => { one.scope = "col"; });
    const body = create("tbody", {}, ...table.rows.map(row => create("tr", {}, ...cells("td", row))));
    const scroll = create("div", {className: "cb-scroll", tabIndex: 0, role: "region", ariaLabel: "Numbers of the figure"},
      create("table", {}, create("thead", {}, head), body));
    return [create("details", {}, create("summary", {textContent: `Numbers (${table.rows.length} ${table.rows.length === 1 ? "row" : "rows"})`}), scroll)];
  }

  // Shows a figure in an element, instead of what was in it. What was chosen before is kept.
  function show(element, figure) {
    const before = views.get(element);
    const isSame = before?.figure.name === figure.name;
    const keys = figure.metrics.map(one => one.key);
    const view = {
      element, figure, document: null, manager: before?.manager, isWanted: false, isBegun: false,
      metric: isSame && keys.includes(before.metric) ? before.metric : keys[0],
      axes: {...figure.axes, ...(isSame ? before.axes : {})},
      hidden: new Set(isSame ? before.hidden : figure.series.filter(one => !one.is_shown).map(one => one.name)),
      streamed: isSame ? before.streamed : new Map(),
      place: create("div", {className: "cb-plot", textContent: figure.live?.length ? "The first point appears here." : ""}),
    };
    before?.observer.disconnect();
    const texts = [["cb-finding", figure.finding], ["cb-note", figure.note], ["cb-how", figure.how_to_read]];
    element.classList.add("cb-figure");
    element.replaceChildren(
      create("h3", {textContent: figure.heading}), controls(view), view.place,
      ...texts.filter(([, text]) => text).map(([className, textContent]) => create("p", {className, textContent})),
      ...numbers(figure.table));
    paint(element);
    views.set(element, view);
    // Bokeh needs to know its width. It draws when the figure is near what is seen.
    view.observer = new IntersectionObserver(entries => {
      if (!entries.some(one => one.isIntersecting)) return;
      view.observer.disconnect();
      view.isWanted = true;
      begin(view);
    }, {rootMargin: "300px"});
    view.observer.observe(view.place);
  }

  // Adds rows to the live source of this name, wherever it is shown: {x: [...], METRIC: [...], ...}.
  function stream(name, columns) {
    for (const view of views.values()) {
      if (!(view.figure.live ?? []).includes(name)) continue;
      const known = view.streamed.get(name) ?? {};
      for (const [key, values] of Object.entries(columns)) {
        known[key] = [...(known[key] ?? []), ...values].slice(-MOST_LIVE);
      }
      view.streamed.set(name, known);
      begin(view);
      update(view);
    }
  }

  // The columns of a live source from the rows that were streamed; null if there are none. The lines
  // of a source have one of their own, of the medians at each x.
  function columnsOf(name, columns, streamed) {
    const isMedians = name.startsWith("medians:"), rows = streamed.get(isMedians ? name.slice("medians:".length) : name);
    if (!rows) return null;
    const valuesOf = key => rows[key]?.map(value => value ?? NaN) ?? rows.x.map(() => NaN);
    const keys = columns.filter(one => one.startsWith("y_")).map(one => one.slice("y_".length));
    if (!keys.length) return Object.fromEntries(columns.map(key => [key, valuesOf(key)]));
    const found = {x: isMedians ? [...new Set(rows.x)].sort((a, b) => a - b) : rows.x};
    for (const key of keys) {
      const values = valuesOf(key);
      found[`y_${key}`] = isMedians ? found.x.map(x => median(values.filter((y, at) => rows.x[at] === x && !isNaN(y)))) : values;
    }
    found.y = found[`y_${keys[0]}`];
    if (isMedians) return found;
    const textOf = value => (isNaN(value) ? "-" : value.toLocaleString("en", {maximumSignificantDigits: 4}));
    for (const key of keys) found[`text_${key}`] = found[`y_${key}`].map(textOf);
    return {...found, about: rows.about ?? rows.x.map(String), name: rows.x.map(() => name.slice(name.indexOf(":") + 1))};
  }

  function median(values) {
    const sorted = values.sort((a, b) => a - b), half = sorted.length >> 1;
    return sorted.length ? (sorted[(sorted.length - 1) >> 1] + sorted[half]) / 2 : NaN;
  }

  isDark.addEventListener("change", () => {
    for (const view of views.values()) {
      paint(view.element);
      embed(view);
    }
  });

  return {show, stream};
})();
