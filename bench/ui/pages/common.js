// What all pages share: requests to the API, the live connection, dialogs, formats, and figures.

export const byId = id => document.getElementById(id);

/** Return a new element. Children are nodes or text; text is never read as HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** Show text in an element, or hide the element if there is none. */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/** Show a command line, whose lines end between its words only. */
export function showCommand(element, text) {
  if (element.textContent === text) return;
  element.replaceChildren(...text.split(/( )/).map(word => (word === " " ? word : make("span", {}, word))));
}

/** Show the output of a verb: lines of tables scroll, and sentences wrap. */
export function showText(element, text) {
  element.replaceChildren(...text.trimEnd().split("\n").map(line =>
    make("span", { class: /\S {2,}\S|\u2500/.test(line) ? "line" : "line prose" }, line)));
  element.hidden = !text.trim();
}

/** Let screen readers say a text. */
export function announce(text) { byId("status").textContent = text; }

// The API

const GONE = `crawlbench ui has ended or cannot be reached. Start it again with ${document.body.dataset.program} ui, and open the address that it prints.`;

export class Refused extends Error {
  constructor(message, status, answer) { super(message); this.status = status; this.answer = answer; }
}

async function fetched(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(GONE, 0, {});
  }
  if (response.ok) return response;
  const text = await response.text();
  let answer = {};
  try { answer = JSON.parse(text); } catch { /* a proxy, or a refusal before the API: one line of text */ }
  throw new Refused(answer.error || text.split("\n")[0] || `status ${response.status}`, response.status, answer);
}

export const getJson = async (path, signal) => (await fetched(path, { signal })).json();
export const getText = async (path, signal) => (await fetched(path, { signal })).text();

export async function send(method, path, body, signal) {
  const response = await fetched(path, {
    method, signal, headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** Call `take` with each object of a stream of JSON lines, as it comes. */
export async function eachLine(path, take, signal) {
  const reader = (await fetched(path, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value ?? "")).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) if (line) take(JSON.parse(line));
    if (done) return;
  }
}

export const resultPath = name => `/results/${encodeURIComponent(name)}`;
export const apiPath = name => `/api/results/${encodeURIComponent(name)}`;

// Formats

export function number(value) {
  if (value === null || value === undefined) return "\u2013";
  const size = Math.abs(value), digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function bytes(count) {
  for (const unit of ["B", "kB", "MB"]) {
    if (count < 1000) return `${unit === "B" || count >= 100 ? Math.round(count) : count.toFixed(1)} ${unit}`;
    count /= 1000;
  }
  return `${count.toFixed(1)} GB`;
}

export function when(utc) {
  const date = new Date(/Z|[+-]\d\d:\d\d$/.test(utc) ? utc : `${utc.replace(" ", "T")}Z`);
  if (Number.isNaN(date.getTime())) return utc;
  return date.toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" }) + " UTC";
}

export function runsOf(result) {
  if (!result.runs_planned) return number(result.runs_done);
  return result.runs_done === result.runs_planned ? number(result.runs_done) : `${number(result.runs_done)} of ${number(result.runs_planned)}`;
}

// Dialogs and buttons

/** Ask a question; the promise is true if the answer is yes. */
export function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "cancel"; // what Escape leaves
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Disable a button for as long as `work` takes, and show why it failed in the page's line for problems. */
export async function working(button, work) {
  button.disabled = true;
  try {
    tell(byId("problem"), "");
    return await work();
  } catch (error) {
    tell(byId("problem"), error.message);
    return undefined;
  } finally {
    button.disabled = false;
  }
}

export async function resume(button, name) {
  await working(button, async () => {
    await send("POST", "/api/resume", { name });
    location.assign("/running");
  });
}

export async function removed(name) {
  const yes = await confirmed(`Delete ${name}?`, "Its results file with all requests, its report page and its figures are removed. Other files in its folder stay. This cannot be undone.", "Delete");
  if (!yes) return false;
  const { left } = await send("DELETE", apiPath(name));
  announce(`${name} was deleted.${left?.length ? ` Files of others were left in its folder: ${left.join(", ")}` : ""}`);
  return true;
}

document.addEventListener("click", async event => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const source = byId(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(source.textContent);
    announce("Copied.");
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } catch { // the browser allows no clipboard: select it, so that Ctrl-C copies
    getSelection().selectAllChildren(source);
    announce("Selected: copy it with Ctrl-C.");
    button.textContent = "Press Ctrl-C";
  }
});

// The live connection

const SILENCE_MS = 4000; // ticks come four times a second while something is measured
export const MOMENTS = 240; // a minute of four ticks a second
const RETRY_MS = [250, 500, 1000, 2000, 4000];
const FEW = 3; // failures to connect, after which it is said that there is nothing to connect to
const LOOK_MS = 2000; // how often to ask what others measure

/** The one connection to /api/live. It reconnects by itself; each connection begins with the whole state. */
class Live {
  #listeners = new Set();
  #socket = null;
  #failures = 0;
  #timer = 0;
  #heard = 0;
  state = null;
  elsewhere = ""; // the name of results that are measured by what was started in a terminal
  connection = "connecting"; // or "open", "lost"

  constructor() {
    this.#connect();
    setInterval(() => this.#check(), 1000);
    setInterval(() => this.#look(), LOOK_MS);
    this.#look();
    for (const name of ["online", "pageshow", "focus"]) addEventListener(name, () => this.#check());
    for (const name of ["visibilitychange", "resume"]) document.addEventListener(name, () => this.#check());
  }

  /** Call `listener(live, event)` now, and after each change; the event is null for a new state or connection. */
  watch(listener) {
    this.#listeners.add(listener);
    listener(this, null);
  }

  /** Whether an experiment is measured, or the figures of its report are drawn. */
  get isRunning() { return ["running", "drawing"].includes(this.state?.state); }

  /** Whether the server has ended, or cannot be reached. */
  get isGone() { return this.#failures >= FEW; }

  /** Whether nothing can be started. */
  get isBusy() { return this.isGone || this.isRunning || Boolean(this.elsewhere); }

  #tell(event) {
    if (!this.isGone) for (const button of document.querySelectorAll("[data-gone]")) setDisabled(button, false);
    for (const listener of this.#listeners) listener(this, event);
    tell(byId("gone"), this.isGone ? GONE : "");
    if (this.isGone) for (const button of document.querySelectorAll("main button:enabled:not([data-copies], .figure *)")) setDisabled(button, true);
  }

  async #look() {
    if (document.visibilityState === "hidden" || this.connection === "lost") return;
    try {
      const { elsewhere } = await getJson("/api/measured");
      if (elsewhere === this.elsewhere) return;
      this.elsewhere = elsewhere;
      this.#tell(null);
    } catch { /* the connection shows that there is no server */ }
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
    this.#socket?.close();
    this.#socket = socket;
    this.#heard = performance.now();
    socket.onmessage = message => {
      if (socket !== this.#socket) return;
      this.#heard = performance.now();
      this.#failures = 0;
      const was = this.connection, told = JSON.parse(message.data);
      this.connection = "open";
      if (told.state) this.state = told.state;
      else if (this.state) take(this.state, told);
      this.#tell(told.state || was !== "open" ? null : told);
    };
    socket.onclose = () => { if (socket === this.#socket) this.#lose(); };
  }

  #lose() {
    this.#socket = null;
    this.connection = "lost";
    if (!this.#timer) {
      this.#timer = setTimeout(() => this.#connect(), RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)]);
      this.#failures += 1;
    }
    this.#tell(null);
  }

  /** After a sleep a connection can look open and be dead: it is replaced if it was silent for too long. */
  #check() {
    if (document.visibilityState === "hidden" || !this.#socket) return;
    const isLate = performance.now() - this.#heard > SILENCE_MS;
    if (isLate && (this.isRunning || this.connection !== "open")) this.#connect();
  }
}

/** The numbers of the last second; none while the server itself is measured, next to which all else would be flat. */
export const liveOf = ({ run, tick }) => (run && run.role !== "cell" ? null : tick?.live ?? null);

/** Take an event into a state. */
function take(state, event) {
  switch (event.event) {
    case "begun": state.begun = event; break;
    case "message": state.messages = [...state.messages, event.text].slice(-30); break;
    case "run_started": state.run = event; break;
    case "tick":
      state.tick = event;
      state.last_minute = [...state.last_minute, { elapsed_s: event.elapsed_s, live: liveOf(state) }].slice(-MOMENTS);
      break;
    case "run_done": state.runs.push(event); state.runs_done += 1; break; // after "ended", a whole state comes
  }
}

function setDisabled(button, isGone) {
  button.disabled = isGone;
  button.toggleAttribute("data-gone", isGone);
}

export const live = new Live();

const page = document.querySelector("script[type=module]").src.split("/").pop().replace(".js", "");
for (const link of document.querySelectorAll("nav [data-page]")) {
  if (link.dataset.page === page) link.setAttribute("aria-current", "page");
}

/** Say in one line what goes on. */
export function lineOf(state) {
  if (state.state === "drawing") return "All runs are made; the figures of the report are being drawn";
  return `Measuring now: ${state.tick?.line ?? "it starts"}`;
}

/** Say in a sentence what is measured that was started in a terminal; "" if nothing is. */
export const elsewhereOf = ({ elsewhere }) => elsewhere && `${elsewhere} is being measured by an experiment that was started elsewhere, for example in a terminal.`;

const shortLine = ({ state, tick }) => (state === "drawing" ? "drawing figures" : tick ? tick.line.split(", ").slice(0, 2).join(", ") : "starting");
live.watch(({ connection, state, isRunning, elsewhere }) => {
  const now = byId("now"), isLost = connection === "lost";
  now.hidden = page === "running" || !(isRunning || isLost || elsewhere);
  now.classList.toggle("lost", isLost);
  const text = isLost ? "No connection" : isRunning ? shortLine(state) : elsewhere ? "measuring elsewhere" : "";
  if (byId("now-text").textContent !== text) byId("now-text").textContent = text;
});

/** Keep a notice up to date that says what is being measured. */
export function showGoing(element) {
  live.watch(now => tell(element, now.isRunning ? lineOf(now.state) : elsewhereOf(now)));
}

/**
 * Wait until work that takes the processor may begin: at once, or while something is measured only
 * when that has ended, or somebody wants it anyway.
 */
export function quietTime(isMeasuring) {
  if (!isMeasuring) return Promise.resolve();
  const notice = byId("costs");
  notice.hidden = false;
  let timer = 0;
  return new Promise(resolve => {
    byId("anyway").addEventListener("click", resolve, { once: true });
    timer = setInterval(async () => {
      const answer = await getJson("/api/measured").catch(() => null); // the connection shows that there is no server
      if (answer && !answer.is_measuring) resolve();
    }, LOOK_MS);
  }).then(() => {
    clearInterval(timer);
    notice.hidden = true;
  });
}

// Figures

let scripts = null;

/** Load the scripts that draw figures, once. They are large: pages load them when they need them. */
export function loadFigures() {
  if (!scripts) document.head.append(make("link", { rel: "stylesheet", href: "/static/interactive.css" }));
  scripts ??= ["/static/bokeh.js", "/static/interactive.js"].reduce((before, source) => before.then(() => new Promise((resolve, reject) => {
    const script = make("script", { src: source });
    script.onload = resolve;
    script.onerror = () => reject(new Error("The scripts that draw figures could not be loaded. The tables have the same numbers."));
    document.head.append(script);
  })), Promise.resolve());
  return scripts;
}

const skeleton = () => make("div", { class: "figure skeleton", "aria-hidden": "true" }, "Drawing...");

/**
 * Draw the figures of a stream of JSON lines into `list` as they become ready. One of the same name
 * takes the place of the one before: the verdicts of its runs are known now. `state` says what goes on.
 */
export async function streamFigures(path, list, state) {
  const elements = new Map(), placeholder = skeleton();
  list.replaceChildren(placeholder);
  tell(state, "The figures are being drawn...");
  try {
    await loadFigures();
    await eachLine(path, line => {
      if (line.error) throw new Error(line.error);
      if (!line.figure) return;
      const { name } = line.figure;
      if (!elements.has(name)) {
        elements.set(name, make("div", { class: "figure" }));
        placeholder.before(elements.get(name));
      }
      window.crawlbench.show(elements.get(name), line.figure);
      tell(state, `${elements.size} ${elements.size === 1 ? "figure" : "figures"} so far; more are being drawn...`);
    });
    tell(state, elements.size ? "" : "This result has no figures for the browser; its report page has those that are files.");
  } catch (error) {
    tell(state, `${elements.size ? "Some figures are missing" : "There are no figures"}: ${error.message}`);
  } finally {
    placeholder.remove();
  }
}
