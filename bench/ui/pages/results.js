// The list of results: search, choose two to compare, delete, resume.

import { bytes, byId, getJson, live, make, removed, resultPath, resume, runsOf, showGoing, tell, when, working } from "./common.js";

const rows = byId("rows"), search = byId("search");
let entries = []; // {result, row, box, text}
let chosen = []; // at most two names, in the order in which they were chosen

function row(result) {
  const isUnfinished = result.can_resume, label = `${result.name}, ${result.kind}`;
  const box = make("input", { type: "checkbox", "aria-label": `Choose ${label} for comparison`, disabled: Boolean(result.problem) });
  box.addEventListener("change", () => choose(result.name, box.checked));
  const remove = make("button", { type: "button", class: "danger quiet-button", "aria-label": `Delete ${result.name}` }, "Delete");
  remove.addEventListener("click", () => working(remove, async () => { if (await removed(result.name)) await load(); }));
  const actions = make("td", { class: "row-actions" });
  if (isUnfinished) {
    const button = make("button", { type: "button", "aria-label": `Resume ${result.name}` }, "Resume");
    button.addEventListener("click", () => resume(button, result.name));
    actions.append(button, " ");
  }
  actions.append(remove);
  const about = result.problem ? make("span", { class: "title problem" }, result.problem)
    : make("span", { class: "title" }, [when(result.created_utc), result.title].filter(Boolean).join(" \u00b7 "));
  const runs = make("td", { class: `number runs nowrap${result.problem || result.is_measured ? " none" : ""}` },
    result.problem ? "" : result.is_measured ? make("span", { class: "measured" }, "measuring") : isUnfinished ? make("span", { class: "unfinished", title: "Not all planned runs were made" }, runsOf(result)) : runsOf(result));
  return {
    result, box,
    text: [result.name, result.kind, result.title, when(result.created_utc), ...(result.crawlers ?? []), result.problem, isUnfinished ? "unfinished" : ""].join(" ").toLowerCase(),
    row: make("tr", {},
      make("td", {}, box),
      make("th", { scope: "row" }, make("a", { href: resultPath(result.name) }, result.name), about),
      make("td", { class: "kind" }, result.kind),
      make("td", { class: "crawlers-of" }, (result.crawlers ?? []).join(", ")),
      runs,
      make("td", { class: "number size nowrap" }, bytes(result.bytes)),
      actions),
  };
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const entry of entries) {
    const isShown = words.every(word => entry.text.includes(word));
    entry.row.hidden = !isShown;
    shown += isShown;
  }
  byId("count").textContent = words.length ? `${shown} of ${entries.length}` : `${entries.length} ${entries.length === 1 ? "result" : "results"}`;
  byId("none").hidden = shown > 0;
}

function choose(name, isChosen) {
  chosen = chosen.filter(other => other !== name);
  if (isChosen) chosen = [...chosen, name].slice(-2); // a third takes the place of the first
  showChosen();
}

function showChosen() {
  for (const { result, row: line, box } of entries) {
    box.checked = chosen.includes(result.name);
    line.classList.toggle("chosen", box.checked);
  }
  byId("tray").hidden = chosen.length === 0;
  const link = byId("compare");
  // The list is newest first, and the older one is the baseline.
  const pair = entries.map(entry => entry.result.name).filter(name => chosen.includes(name)).reverse();
  const other = entries.find(({ result }) => chosen.includes(result.name) && result.kind !== "sweep");
  const whyNot = other ? `Only sweeps can be compared: ${other.result.name} is of kind ${other.result.kind}.` : pair.length < 2 ? "Choose one more to compare." : "";
  byId("chosen").textContent = whyNot || `${pair[0]} with ${pair[1]}`;
  link.setAttribute("aria-disabled", Boolean(whyNot));
  if (whyNot) link.removeAttribute("href");
  else link.href = `/compare?${new URLSearchParams({ a: pair[0], b: pair[1] })}`;
}

async function load() {
  let answer;
  try {
    answer = await getJson("/api/results");
  } catch (error) {
    tell(byId("problem"), error.message);
    return;
  }
  byId("folder").textContent = `Folder: ${answer.folder}`;
  entries = answer.results.map(row);
  rows.replaceChildren(...entries.map(entry => entry.row));
  byId("teach").hidden = entries.length > 0;
  byId("list").hidden = entries.length === 0;
  chosen = chosen.filter(name => entries.some(entry => entry.result.name === name));
  showChosen();
  filter();
}

search.addEventListener("input", filter);
byId("clear").addEventListener("click", () => { search.value = ""; filter(); search.focus(); });
byId("unchoose").addEventListener("click", () => { chosen = []; showChosen(); search.focus(); });
addEventListener("pageshow", event => { if (event.persisted) load(); }); // back from another page
document.addEventListener("keydown", event => {
  if (event.key === "/" && !event.target.matches("input, select, textarea")) { event.preventDefault(); search.focus(); }
});

showGoing(byId("going"));
let was = null;
live.watch(({ state }) => { // what was measured appears, with its runs, when it has begun and ended
  const is = state ? `${state.state} ${state.folder}` : null;
  if (was !== null && is !== null && is !== was) load();
  was = is ?? was;
});
load();
