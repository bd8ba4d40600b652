// Two results: the statements of crawlbench compare, and figures of both.

import { apiPath, byId, getJson, make, quietTime, showCommand, showText, streamFigures, tell } from "./common.js";

const asked = new URLSearchParams(location.search), a = asked.get("a"), b = asked.get("b");

async function showStatements(query) {
  const text = byId("text");
  try {
    showText(text, (await getJson(`/api/compare?${query}`)).text);
    tell(byId("statements-state"), "");
  } catch (error) {
    if (error.message.includes("differ in what was asked")) {
      tell(byId("differ"), "These two results were not asked for the same: what differs in the figures may come from that, not from the crawlers.");
      tell(byId("statements-state"), `${error.message}. Therefore they were not compared. It would help to measure one of them again with the command of the other:`);
      const { command } = await getJson(apiPath(a));
      byId("again").hidden = false;
      showCommand(byId("again-command"), command);
    } else tell(byId("statements-state"), error.message);
  }
}

/** What tells a result from others: its name, kind, crawlers and plan. */
const labelOf = ({ name, kind, crawlers, title }) =>
  [name, kind, crawlers.length > 4 ? `${crawlers.length} crawlers` : crawlers.join(", "), title].filter(Boolean).join(" \u00b7 ");

byId("swap").addEventListener("click", () => {
  [byId("a").value, byId("b").value] = [byId("b").value, byId("a").value];
  byId("pair").requestSubmit();
});

try {
  const { results: all, is_measuring: isMeasuring } = await getJson("/api/results"), results = all.filter(result => !result.problem);
  const sweeps = results.filter(result => result.kind === "sweep" || result.name === a || result.name === b);
  for (const [select, name, other] of [[byId("a"), a, 1], [byId("b"), b, 0]]) {
    select.append(make("option", { value: "" }, "Choose a result"), ...sweeps.map(result => make("option", { value: result.name }, labelOf(result))));
    select.value = name ?? sweeps[other]?.name ?? "";
    const about = byId(`${select.id}-about`);
    const showAbout = () => { about.textContent = select.value && select.selectedOptions[0].textContent; };
    select.addEventListener("change", showAbout);
    showAbout();
  }
  if (a && b) {
    await quietTime(isMeasuring);
    byId("statements").hidden = byId("figures").hidden = false;
    document.title = `${a} with ${b} - crawlbench`;
    const query = new URLSearchParams({ a, b });
    await showStatements(query); // one after the other: each holds two analyses in memory
    await streamFigures(`/api/compare/figures?${query}`, byId("figures-list"), byId("figures-state"));
  } else if (sweeps.length < 2) {
    tell(byId("problem"), "To compare, there must be two sweeps in the folder.");
  }
} catch (error) {
  tell(byId("problem"), error.message);
}
