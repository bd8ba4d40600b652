// What is being measured: progress, the last second at the server, curves, finished cells.

import { MOMENTS, announce, byId, confirmed, eachLine, elsewhereOf, getJson, live, liveOf, loadFigures, make, number, resultPath, resume, send, showCommand, showText, tell, working } from "./common.js";

// Numbers of the last second, with the last minute of each as a small curve

const TILES = [
  ["requests_per_s", "Requests/s", ""], ["in_flight", "In flight", ""], ["errors", "Errors in this run", ""],
  ["p50_ms", "p50", "ms"], ["p99_ms", "p99", "ms"],
];
const NS = "http://www.w3.org/2000/svg";
const shape = (tag, attributes) => {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const tiles = TILES.map(([key, label, unit]) => {
  const value = make("span", {}, "\u2013"), line = shape("path", { class: "line" }), area = shape("path", { class: "area" });
  const picture = shape("svg", { viewBox: `0 0 ${MOMENTS} 32`, preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(area, line);
  const element = make("div", { class: "tile" }, make("div", { class: "label" }, label),
    make("div", { class: "value" }, value, unit ? make("span", { class: "unit" }, unit) : null), picture);
  byId("tiles").append(element);
  return { key, value, line, area, element };
});

function showLive(numbers, lastMinute) {
  for (const tile of tiles) {
    const kept = lastMinute.map(moment => moment.live?.[tile.key] ?? null), value = numbers?.[tile.key] ?? null;
    tile.element.classList.toggle("stale", !numbers);
    const text = number(tile.key === "requests_per_s" && value !== null ? Math.round(value) : value);
    if (tile.value.textContent !== text) tile.value.textContent = text;
    const most = Math.max(...kept.filter(one => one !== null), 1e-9), left = MOMENTS - kept.length;
    let path = "", first = null, last = null;
    kept.forEach((one, index) => {
      if (one === null) return;
      const x = left + index, y = 30 - 28 * one / most;
      path += `${last === null ? "M" : "L"}${x} ${y.toFixed(1)}`;
      first ??= x;
      last = x;
    });
    tile.line.setAttribute("d", path);
    tile.area.setAttribute("d", path ? `${path}L${last} 32L${first} 32Z` : "");
  }
}

// Finished cells: crawlers x levels

const isCell = run => run.role === "cell"; // others measure the server itself
const cellOf = run => JSON.stringify([run.crawler, run.level, run.delay]);

function median(values) {
  const sorted = values.toSorted((a, b) => a - b), half = sorted.length >> 1;
  if (!sorted.length) return null;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function showCells({ begun, runs: all, run }) {
  const runs = all.filter(isCell);
  const metric = byId("metric").value, byCell = Map.groupBy(runs, cellOf);
  const crawlers = [...new Set([...begun.crawlers, ...runs.map(one => one.crawler)])];
  const delays = begun.delays.length ? begun.delays : [""];
  const columns = delays.flatMap(delay => begun.levels.map(level => ({ delay, level })));
  for (const one of runs) { // a search decides its levels as it goes
    if (!columns.some(column => column.level === one.level && column.delay === one.delay)) columns.push({ level: one.level, delay: one.delay });
  }
  const heading = ({ level, delay }) => `${begun.is_open ? `${number(level)}/s` : `C=${number(level)}`}${delays.length > 1 ? `, ${delay}` : ""}`;
  const body = crawlers.map(crawler => make("tr", {}, make("th", { scope: "row" }, crawler), ...columns.map(column => {
    const key = cellOf({ crawler, ...column }), done = byCell.get(key) ?? [];
    const values = done.map(one => one[metric]).filter(value => value !== null), isHere = run && isCell(run) && cellOf(run) === key;
    const failed = done.some(one => one.failure);
    const text = metric === "failed" ? values.reduce((sum, value) => sum + value, 0) : median(values);
    return make("td", { class: [done.length ? "" : "empty", isHere ? "here" : ""].join(" ").trim() || null },
      done.length ? number(text) : isHere ? "now" : "\u00b7",
      done.length ? make("span", { class: failed ? "trials failed" : "trials", title: `${done.length} trials made` }, failed ? "failed" : `×${done.length}`) : null);
  })));
  byId("cells").replaceChildren(
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Crawler"), ...columns.map(column => make("th", { scope: "col" }, heading(column))))),
    make("tbody", {}, ...body));
  byId("failures").replaceChildren(...runs.filter(one => one.failure).slice(-20).map(one =>
    make("li", {}, `${one.crawler} at ${one.level_text}, trial ${one.trial}: ${one.failure}`)));
}

// Curves that grow

let drawn = 0; // the number of the experiment whose figures are drawn
let streamed = { runs: Infinity, untilS: Infinity }; // what is in them: nothing can be before they are there

async function showFigures(state) {
  if (drawn === state.number) { streamRows(state); return; }
  drawn = state.number;
  streamed = { runs: Infinity, untilS: Infinity };
  const list = byId("figures-list");
  list.replaceChildren(...["", ""].map(() => make("div", { class: "figure skeleton", "aria-hidden": "true" }, "Drawing...")));
  try {
    const figures = [];
    await Promise.all([loadFigures(), eachLine("/api/live/figures", line => {
      if (line.error) throw new Error(line.error);
      // Of the past there are no numbers of the server.
      if (line.figure && (line.figure.name !== "now" || (live.isRunning && !state.begun.why_no_live))) figures.push(line.figure);
    })]);
    const elements = figures.map(({ name }) => make("div", { class: "figure", "data-figure": name }));
    list.replaceChildren(...elements);
    for (const [index, figure] of figures.entries()) window.crawlbench.show(elements[index], figure);
    streamed = { runs: 0, untilS: -1 };
    tell(byId("figures-state"), "");
    streamRows(live.state);
  } catch (error) {
    list.replaceChildren();
    tell(byId("figures-state"), `There are no curves: ${error.message}`);
  }
}

function streamRows(state) {
  for (; streamed.runs < state.runs.length; streamed.runs += 1) {
    if (isCell(state.runs[streamed.runs])) streamRun(state.runs[streamed.runs]);
  }
  const moments = state.last_minute.filter(moment => moment.elapsed_s > streamed.untilS); // without numbers: a gap
  if (!moments.length) return;
  streamed.untilS = moments.at(-1).elapsed_s;
  const rows = { x: moments.map(moment => moment.elapsed_s) };
  for (const key of ["requests_per_s", "p50_ms", "p99_ms"]) rows[key] = moments.map(moment => moment.live?.[key] ?? null);
  window.crawlbench.stream("now", rows);
}

function streamRun(run) {
  const { level, requests_per_s: throughput, p50_ms: p50, p99_ms: p99 } = run;
  window.crawlbench.stream(`run:${run.crawler}`,
    { x: [level], requests_per_s: [throughput], p50_ms: [p50], p99_ms: [p99], about: [`${run.level_text}, trial ${run.trial}, not checked`] });
}

// The page as a whole

/** How many runs its results have: "12 of 75", or "12" if that is all, or nobody knows how many there will be. */
function madeOf({ runs_done: done, runs_planned: planned }) {
  return planned && done !== planned ? `${number(done)} of ${number(planned)}` : number(done);
}

const ENDINGS = {
  done: "The experiment is done.",
  "runs failed": "The experiment is done. Some of its runs failed.",
  interrupted: "The experiment was stopped.",
  failed: "The experiment failed.",
  killed: "The experiment was killed.",
};

async function showEnd({ ending, problem, folder, runs_done: runsDone, can_resume: canResume }) {
  byId("ending").classList.toggle("bad", ending === "failed" || ending === "killed");
  const isWhole = ending === "done" || ending === "runs failed";
  const kept = !runsDone ? "Nothing was measured." : folder && !isWhole ? "Its finished runs are kept." : "";
  byId("ending-text").textContent = [ENDINGS[ending], problem && `${problem[0].toUpperCase()}${problem.slice(1)}.`, kept].filter(Boolean).join(" ");
  const open = byId("ending-result"), again = byId("ending-resume");
  open.hidden = !folder;
  open.href = resultPath(folder);
  again.hidden = !canResume;
  again.onclick = () => resume(again, folder);
  if (!folder) return;
  const { results } = await getJson("/api/results").catch(() => ({ results: null })); // the server has ended, too
  if (results && !results.some(result => result.name === folder)) { // it was deleted meanwhile
    open.hidden = again.hidden = true;
    byId("ending-text").textContent += " Its results have been deleted.";
  }
}

let dirty = true, frame = 0, lastState = null;

/** Say how many runs were made, and which of them the table does not show. */
function sumOf(state) {
  const others = state.runs.filter(run => !isCell(run)).length;
  return `${madeOf(state)} ${state.runs_done === 1 ? "run was" : "runs were"} made.` +
    (others && !state.runs_before ? ` ${number(others)} of them measured what the server can do at most, and ${others === 1 ? "is" : "are"} not in the table.` : "");
}

/** A hidden page draws nothing; it draws everything at once when it is seen again. */
function draw() {
  frame = 0;
  const { state, connection, isRunning } = live, link = byId("connection");
  link.className = `link ${connection}`;
  link.replaceChildren(...(connection === "open" && !isRunning ? [] : [make("span", { class: "pulse", "aria-hidden": "true" }),
    { connecting: "Connecting...", open: "Live", lost: live.isGone ? "crawlbench ui cannot be reached" : "No connection: trying again" }[connection]]));
  if (!state) return;
  const begun = state.begun, isOver = state.state === "ended", isNothing = state.state === "nothing";
  byId("idle").hidden = !isNothing || Boolean(live.elsewhere);
  tell(byId("elsewhere"), live.elsewhere && `${elsewhereOf(live)} It is shown where it was started.`);
  byId("experiment").hidden = isNothing;
  byId("stop").hidden = !isRunning;
  byId("stop").disabled = state.is_stopping || live.isGone;
  byId("stop").textContent = state.is_stopping ? "Stopping..." : "Stop";
  byId("title").textContent = { nothing: "Running", running: "Running", drawing: "Drawing", ended: "Ended" }[state.state];
  if (isNothing) { byId("ending").hidden = true; return; }
  const tick = state.tick;
  showCommand(byId("command"), state.command);
  byId("line").textContent = state.state === "drawing" ? "All runs are made. The figures of the report are being drawn."
    : isOver ? sumOf(state)
    : tick?.line ?? "Starting the server and the first crawler...";
  tell(byId("in-all"), state.runs_before && state.state === "running" ? `With those made before, ${madeOf(state)} runs are made.` : "");
  tell(byId("session"), state.runs_before ? "Only runs made since it was resumed are shown here." : "");
  const bar = byId("progress"), total = state.runs_planned || parseInt((tick?.runs_total ?? "").match(/\d+/)?.[0] ?? "0", 10);
  const part = tick && tick.run_requests ? (tick.run_done ?? 0) / tick.run_requests : 0;
  if (state.state === "drawing" || state.ending === "done") bar.value = 1;
  else if (total) bar.value = Math.min(1, (state.runs_done + (isOver ? 0 : Math.min(1, part))) / total);
  else bar.removeAttribute("value");
  if (isOver) bar.value = bar.value || 0;
  byId("live").hidden = state.state !== "running";
  tell(byId("why-no-live"), begun?.why_no_live ?? "");
  byId("tiles").hidden = Boolean(begun?.why_no_live);
  showLive(isRunning && connection === "open" ? liveOf(state) : null, state.last_minute);
  byId("ending").hidden = !isOver;
  byId("unchecked").textContent = isOver
    ? "Medians of the trials that were made, as the crawlers recorded them, without verdicts: the result has those."
    : "Medians of the trials made so far, as the crawlers recorded them. Not checked yet: verdicts come with the report.";
  const now = byId("figures-list").querySelector("[data-figure=now] h3");
  if (now && isOver) now.textContent = "At the server, in the last minutes";
  showText(byId("lines"), state.messages.join("\n"));
  byId("messages").hidden = !state.messages.length;
  if (begun && dirty) showCells(state);
  if (begun) showFigures(state);
  byId("growing").hidden = byId("finished").hidden = !begun;
  if (!begun) byId("cells").replaceChildren(); // those of the experiment before
  if (lastState !== state.state) {
    lastState = state.state;
    if (isOver) showEnd(state);
    announce(isOver ? "The experiment has ended." : "An experiment is being measured.");
  }
  dirty = false;
}

live.watch((_, event) => {
  dirty ||= event?.event !== "tick";
  frame ||= requestAnimationFrame(draw);
});

byId("metric").addEventListener("change", () => { if (live.state?.begun) showCells(live.state); });
byId("stop").addEventListener("click", async () => {
  if (!await confirmed("Stop the experiment?", "The run that is being made is dropped. Finished runs are kept, and you can resume it later.", "Stop")) return;
  await working(byId("stop"), () => send("POST", "/api/stop", {}));
});
