// Each change of a knob makes a real crawl of a second, and redraws its timeline.

import { byId, elsewhereOf, getJson, lineOf, live, loadFigures, make, number, send, showCommand, tell } from "./common.js";

const STEPS = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500];
const KNOBS = {
  concurrency: { values: STEPS, at: 10, text: value => `${Math.min(value, mostOf())} at a time` },
  delay: { values: [5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500], at: 100, text: value => `${valueOf("tail") === "none" ? "" : "mean "}${value} ms` },
  tail: { values: ["none", "exponential", "lognormal"], at: "none", text: value => value },
  capacity: { values: [...STEPS, null], at: null, text: value => (value === null ? "no limit" : `${value} at a time`) },
};

const most = new Map(); // of the crawlers that make no more requests at a time
function mostOf(crawler = byId("crawler").value) { return most.get(crawler) ?? Infinity; }

const isIt = value => other => other === value;
for (const [id, knob] of Object.entries(KNOBS)) {
  byId(id).max = knob.values.length - 1;
  byId(id).value = knob.values.findIndex(isIt(knob.at));
}
for (const id of Object.keys(KNOBS)) {
  const slider = byId(id);
  slider.addEventListener("input", showKnobs);
  slider.addEventListener("change", changed); // on release, and for each key
}
showKnobs();

function showKnobs() {
  for (const [id, knob] of Object.entries(KNOBS)) {
    const text = knob.text(valueOf(id));
    byId(`${id}-text`).textContent = text;
    byId(id).setAttribute("aria-valuetext", text);
  }
  const count = mostOf();
  tell(byId("at-most"), count === Infinity ? "" : `${byId("crawler").value} makes ${count === 1 ? "one request" : `at most ${number(count)} requests`} at a time.`);
}

function valueOf(id) { return KNOBS[id].values[Number(byId(id).value)]; }

function asked() {
  return { crawler: byId("crawler").value, delay_ms: valueOf("delay"), tail: valueOf("tail"), capacity: valueOf("capacity"), concurrency: Math.min(valueOf("concurrency"), mostOf()), duration_s: 1 };
}

// A newer change takes the place of the crawl that goes on, which the server then ends.

let crawling = null; // the AbortController of the crawl that goes on
let timer = 0, clock = 0;
let before = null; // {asked, answer} of the last crawl

function changed() {
  clearTimeout(timer);
  timer = setTimeout(crawl, 250);
}

async function crawl() {
  if (live.isBusy) return; // when that has ended, a crawl is made
  crawling?.abort();
  const mine = crawling = new AbortController(), what = asked();
  showWaiting(performance.now());
  if (!before) byId("explained").textContent = "The first crawl is being made.";
  try {
    const [answer] = await Promise.all([send("POST", "/api/playground", what, mine.signal), loadFigures()]);
    if (mine !== crawling) return;
    tell(byId("problem"), "");
    await show(what, answer);
  } catch (error) {
    if (mine !== crawling) return;
    tell(byId("problem"), error.message);
    if (!before) byId("explained").textContent = "";
  }
  crawling = null;
  showWaiting(null);
}

/** Dim what belongs to the settings before, and say for how long the crawl has gone on; null if none goes on. */
function showWaiting(startMs) {
  clearInterval(clock);
  for (const id of ["answer", "figures-list", "same"]) {
    byId(id).classList.toggle("busy", startMs !== null);
    byId(id).setAttribute("aria-busy", startMs !== null);
  }
  const say = () => {
    const spanS = Math.floor((performance.now() - startMs) / 1000);
    byId("state").textContent = startMs === null ? "" : spanS < 2 ? "Crawling..." : `Crawling for ${spanS} s: the last responses are awaited.`;
  };
  say();
  if (startMs !== null) clock = setInterval(say, 500);
}

// One element for all timelines: what is chosen in a figure is kept, and nothing below it moves.
const place = make("div", { class: "figure skeleton" }, "The timeline of the crawl appears here.");
byId("figures-list").append(place);

const IDEAL = "What a client that costs nothing would reach with the very delays that were drawn for this crawl.";
const tile = (label, value, unit, title = null) => make("div", { class: "tile", title }, make("div", { class: "label" }, label),
  make("div", { class: "value" }, value, make("span", { class: "unit" }, unit)));

function showNumbers(answer) {
  byId("numbers").replaceChildren(
    tile("Throughput", number(answer.requests_per_s), "/s"), tile("Ideal", number(answer.ideal_per_s), "/s", IDEAL),
    tile("p50", number(answer.p50_ms), "ms"), tile("p99", number(answer.p99_ms), "ms"), tile("In flight, mean", number(answer.in_flight), ""));
}

async function show(what, answer) {
  showNumbers(answer);
  const share = answer.requests_per_s && answer.ideal_per_s ? answer.requests_per_s / answer.ideal_per_s : 0;
  byId("meter").hidden = !share;
  byId("meter").title = `${Math.round(share * 100)} % of the ideal`;
  byId("meter-fill").style.width = `${Math.min(100, share * 100)}%`;
  tell(byId("ideal"), !answer.ideal_per_s ? "" : what.tail === "none" ? "Ideal: what a client that costs nothing would reach."
    : `Ideal: what a client that costs nothing would reach with the delays that were drawn. Their mean is ${number(answer.drawn_mean_ms)} ms.`);
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
      `${missing >= 1 ? ", since requests that end after the time is over do not count" : ""}.`;
  }
  if (share > 0.95) return `It reaches ${Math.round(share * 100)} % of the ideal: nearly all of the time is the delay itself.`;
  if (tail === "none" && answer.p50_ms > delay * 1.2) return `The median is ${number(answer.p50_ms)} ms, and the delay is ${delay} ms: the rest is time in the crawler and the server.`;
  if (tail !== "none" && answer.p99_ms > answer.p50_ms * 3) return `The tail: p99 is ${number(answer.p99_ms / answer.p50_ms)} times the median.`;
  return `It reaches ${Math.round(share * 100)} % of what a client that costs nothing would.`;
}

showNumbers({});
byId("knobs").addEventListener("submit", event => { event.preventDefault(); crawl(); });
byId("crawler").addEventListener("change", () => { showKnobs(); changed(); });
let wasBusy = false;
live.watch(now => {
  byId("again").disabled = now.isBusy;
  if (!now.isBusy && wasBusy) { tell(byId("problem"), ""); changed(); }
  wasBusy = now.isBusy;
  if (now.isRunning) tell(byId("problem"), `${lineOf(now.state)}. A crawl here would disturb that: wait for its end, or stop it on the page Running.`);
  else if (now.elsewhere) tell(byId("problem"), `${elsewhereOf(now)} A crawl here would disturb that: it is made when that has ended.`);
});

try {
  const { crawlers, tails } = await getJson("/api/choices");
  KNOBS.tail.values = tails.map(tail => tail.name);
  KNOBS.tail.text = name => name;
  byId("tail").max = tails.length - 1;
  for (const one of crawlers) if (one.max_concurrency < STEPS.at(-1)) most.set(one.name, one.max_concurrency);
  byId("crawler").append(...crawlers.filter(one => one.is_installed).map(one => make("option", { value: one.name }, one.name)));
  if (crawlers.some(one => one.name === "asyncio" && one.is_installed)) byId("crawler").value = "asyncio";
  showKnobs();
  await crawl();
} catch (error) {
  tell(byId("problem"), error.message);
}
