// Each change of a knob makes a real crawl of a second, and redraws its timeline.

import { byId, getJson, lineOf, live, loadFigures, make, number, send, showCommand, tell } from "./common.js";

const STEPS = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500];
const KNOBS = {
  concurrency: { values: STEPS, at: 10, text: value => `${value} at a time` },
  delay: { values: [5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500], at: 100, text: value => `${value} ms` },
  tail: { values: ["none", "exponential", "lognormal"], at: "none", text: value => value },
  capacity: { values: [...STEPS, null], at: null, text: value => (value === null ? "no limit" : `${value} at a time`) },
};

const isIt = value => other => other === value;
for (const [id, knob] of Object.entries(KNOBS)) {
  const slider = byId(id);
  slider.max = knob.values.length - 1;
  slider.value = knob.values.findIndex(isIt(knob.at));
  const show = () => {
    const text = knob.text(valueOf(id));
    byId(`${id}-text`).textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };
  slider.addEventListener("input", show);
  slider.addEventListener("change", changed); // on release, and for each key
  show();
}

function valueOf(id) { return KNOBS[id].values[Number(byId(id).value)]; }

function asked() {
  return { crawler: byId("crawler").value, delay_ms: valueOf("delay"), tail: valueOf("tail"), capacity: valueOf("capacity"), concurrency: valueOf("concurrency"), duration_s: 1 };
}

// One crawl at a time; of the changes made meanwhile only the newest is crawled.

let isCrawling = false, isWanted = false, timer = 0;
let before = null; // {asked, answer} of the last crawl

function changed() {
  clearTimeout(timer);
  timer = setTimeout(crawl, 250);
}

async function crawl() {
  if (isCrawling) { isWanted = true; return; }
  isCrawling = true;
  byId("figures-list").classList.add("busy");
  byId("state").textContent = "Crawling...";
  if (!before) byId("explained").textContent = "The first crawl is being made.";
  do {
    isWanted = false;
    const what = asked();
    try {
      const [answer] = await Promise.all([send("POST", "/api/playground", what), loadFigures()]);
      tell(byId("problem"), "");
      if (!isWanted) await show(what, answer);
    } catch (error) {
      tell(byId("problem"), error.message);
      if (!before) byId("explained").textContent = "";
    }
  } while (isWanted);
  isCrawling = false;
  byId("figures-list").classList.remove("busy");
  byId("state").textContent = "";
}

// One element for all timelines: what is chosen in a figure is kept, and nothing below it moves.
const place = make("div", { class: "figure skeleton" }, "The timeline of the crawl appears here.");
byId("figures-list").append(place);

const tile = (label, value, unit) => make("div", { class: "tile" }, make("div", { class: "label" }, label),
  make("div", { class: "value" }, value, make("span", { class: "unit" }, unit)));

function showNumbers(answer) {
  byId("numbers").replaceChildren(
    tile("Throughput", number(answer.requests_per_s), "/s"), tile("Ideal", number(answer.ideal_per_s), "/s"),
    tile("p50", number(answer.p50_ms), "ms"), tile("p99", number(answer.p99_ms), "ms"), tile("In flight, mean", number(answer.in_flight), ""));
}

async function show(what, answer) {
  showNumbers(answer);
  const share = answer.requests_per_s && answer.ideal_per_s ? answer.requests_per_s / answer.ideal_per_s : 0;
  byId("meter").hidden = !share;
  byId("meter").title = `${Math.round(share * 100)} % of the ideal`;
  byId("meter-fill").style.width = `${Math.min(100, share * 100)}%`;
  byId("explained").textContent = explain(what, answer, before);
  byId("verdict").replaceChildren(make("span", { class: `badge ${answer.verdict}` }, answer.verdict));
  byId("reasons").replaceChildren(...[answer.failure, ...answer.reasons].filter(Boolean).map(reason => make("li", {}, reason)));
  showCommand(byId("command"), answer.command);
  byId("command").parentElement.hidden = false;
  before = { asked: what, answer };
  if (answer.figure) {
    place.className = "figure";
    window.crawlbench.show(place, answer.figure);
  }
}

/** Say in a sentence or two what the numbers show, and nothing that they do not. */
export function explain(what, answer, last) {
  return [changes(what, answer, last), cause(what, answer)].filter(Boolean).join(" ");
}

function changes(what, answer, last) {
  if (!last) return "";
  const moved = Object.keys(KNOBS).filter(id => what[keyOf(id)] !== last.asked[keyOf(id)]);
  if (moved.length !== 1 || what.crawler !== last.asked.crawler) return "";
  const [id] = moved, text = one => KNOBS[id].text(one[keyOf(id)]);
  return `${id[0].toUpperCase()}${id.slice(1)} from ${text(last.asked)} to ${text(what)}: throughput ${change(last.answer.requests_per_s, answer.requests_per_s)}, ` +
    `the median ${change(last.answer.p50_ms, answer.p50_ms)}.`;
}

const keyOf = id => (id === "delay" ? "delay_ms" : id);

function change(from, to) {
  if (!from || to === null || to === undefined) return "cannot be compared";
  const ratio = to / from;
  if (ratio > 0.95 && ratio < 1.05) return "stays the same within 5 %";
  return ratio >= 2 ? `is ${number(ratio)} times as high` : ratio > 1 ? `rises by ${Math.round((ratio - 1) * 100)} %` : `falls by ${Math.round((1 - ratio) * 100)} %`;
}

function cause(what, answer) {
  if (answer.failure) return "The crawl failed.";
  if (!answer.requests_per_s) return "No request was done within the second.";
  if (!answer.ideal_per_s) return `${number(answer.requests_per_s)} requests per second.`;
  const { concurrency, capacity, delay_ms: delay, tail } = what, inFlight = answer.in_flight, share = answer.requests_per_s / answer.ideal_per_s;
  if (capacity !== null && inFlight > capacity * 1.05) {
    return `Concurrency ${concurrency} of capacity ${capacity}: of ${number(inFlight)} requests at the server, ${Math.round((1 - capacity / inFlight) * 100)} % wait in the queue (means over the crawl).`;
  }
  const atOnce = answer.limit_per_s * delay / 1000, missing = answer.limit_per_s - answer.requests_per_s; // in one second
  if (tail === "none" && answer.p50_ms <= delay * 1.2 && missing <= atOnce * 1.001) { // at most one for each in flight
    return `Hardly anything but the delay limits it: ${number(answer.requests_per_s)} of at most ${number(answer.limit_per_s)} requests per second` +
      `${missing >= 1 ? ", since requests that are not done after a second do not count" : ""}.`;
  }
  if (share > 0.95) return `It reaches ${Math.round(share * 100)} % of the ideal: nearly all of the time is the delay itself.`;
  if (tail === "none" && answer.p50_ms > delay * 1.2) return `The median is ${number(answer.p50_ms)} ms, and the delay is ${delay} ms: the rest is time in the crawler and the server.`;
  if (tail !== "none" && answer.p99_ms > answer.p50_ms * 3) return `The tail: p99 is ${number(answer.p99_ms / answer.p50_ms)} times the median.`;
  return `It reaches ${Math.round(share * 100)} % of what a client that costs nothing would.`;
}

showNumbers({});
byId("knobs").addEventListener("submit", event => { event.preventDefault(); crawl(); });
byId("crawler").addEventListener("change", changed);
let wasRunning = false;
live.watch(({ state, isRunning }) => {
  byId("again").disabled = isRunning;
  if (!isRunning && wasRunning) { tell(byId("problem"), ""); changed(); }
  wasRunning = isRunning;
  if (isRunning) tell(byId("problem"), `${lineOf(state)}. A crawl here would disturb that: wait for its end, or stop it on the page Running.`);
});

try {
  const { crawlers, tails } = await getJson("/api/choices");
  KNOBS.tail.values = tails.map(tail => tail.name);
  KNOBS.tail.text = name => name;
  byId("tail").max = tails.length - 1;
  byId("crawler").append(...crawlers.filter(one => one.is_installed).map(one => make("option", { value: one.name }, one.name)));
  if (crawlers.some(one => one.name === "asyncio" && one.is_installed)) byId("crawler").value = "asyncio";
  if (!live.isRunning) await crawl();
} catch (error) {
  tell(byId("problem"), error.message);
}
