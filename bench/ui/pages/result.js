// One result: facts, figures, tables, how it was measured.

import { apiPath, byId, bytes, getJson, getText, make, quietTime, removed, resultPath, resume, runsOf, showCommand, showText, streamFigures, tell, when, working } from "./common.js";

const name = decodeURIComponent(location.pathname.split("/").pop());

const fact = (term, text) => make("div", {}, make("dt", {}, term), make("dd", {}, text));

function show(result) {
  byId("name").textContent = result.name;
  document.title = `${result.name} - crawlbench`;
  tell(byId("plan"), result.plan || result.title);
  byId("facts").replaceChildren(
    fact("Kind", result.kind), fact("Started", when(result.created_utc)), fact("Runs", runsOf(result)),
    fact("Size", bytes(result.bytes)), fact("Crawlers", (result.crawlers ?? []).join(", ")));
  byId("actions").hidden = false;
  byId("runs-csv").href = `${apiPath(name)}/runs.csv`;
  byId("requests-csv").href = `${apiPath(name)}/requests.csv`;
  const report = byId("report");
  report.hidden = !result.has_report;
  report.href = `${resultPath(name)}/report.html`;
  byId("resume").hidden = !result.can_resume;
  const isUnfinished = result.runs_done < result.runs_planned;
  tell(byId("unfinished"), !isUnfinished ? "" : result.can_resume ? `${runsOf(result)} planned runs were made. Resume makes the others.`
    : `${runsOf(result)} planned runs were made: ${result.why_not}.`);
  showCommand(byId("command"), result.command);
  byId("repeat").hidden = !result.command; // not every kind has one
  byId("origin").hidden = false;
  byId("contents").hidden = false;
  byId("environment").replaceChildren(...Object.entries(result.environment ?? {}).filter(([, value]) => value !== null).flatMap(([term, value]) =>
    [make("dt", {}, term), make("dd", {}, typeof value === "object" ? Object.entries(value).map(pair => pair.join(" ")).join(", ") : String(value))]));
}

async function showTables() {
  const state = byId("tables-state"), text = byId("tables-text");
  try {
    showText(text, await getText(`${apiPath(name)}/report.txt`));
    tell(state, "");
  } catch (error) {
    tell(state, `There are no tables: ${error.message}`);
  }
}

async function offerOthers(kind) {
  byId("other").parentElement.hidden = kind !== "sweep"; // others cannot be compared
  if (kind !== "sweep") return;
  const others = (await getJson("/api/results")).results.filter(other => other.name !== name && other.kind === kind && !other.problem);
  const select = byId("other");
  select.append(...others.map(other => make("option", { value: other.name }, other.name)));
  select.disabled = others.length === 0;
  if (!others.length) select.options[0].textContent = "No other sweep to compare with";
  select.addEventListener("change", () => {
    if (select.value) location.assign(`/compare?${new URLSearchParams({ a: select.value, b: name })}`);
  });
}

byId("delete").addEventListener("click", () => working(byId("delete"), async () => { if (await removed(name)) location.assign("/"); }));
byId("resume").addEventListener("click", () => resume(byId("resume"), name));

try {
  const result = await getJson(apiPath(name));
  show(result);
  if (result.problem) {
    tell(byId("problem"), result.problem);
    if (result.is_measuring) show(await getJson(apiPath(name))); // it may have more runs now
    byId("figures").hidden = byId("tables").hidden = true;
  } else {
    await Promise.all([quietTime(result.is_measuring), offerOthers(result.kind)]);
    if (result.is_measuring) show(await getJson(apiPath(name))); // it may have more runs now
    byId("figures").hidden = byId("tables").hidden = false;
    // The tables need the verdicts, and so do the later figures: what is quick comes first.
    await streamFigures(`${apiPath(name)}/figures`, byId("figures-list"), byId("figures-state"));
    await showTables();
  }
} catch (error) {
  byId("name").textContent = name;
  tell(byId("problem"), error.message);
  byId("figures").hidden = byId("tables").hidden = true;
}
