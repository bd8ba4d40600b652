// Two results: the statements of crawlbench compare, and figures of both.

import { byId, getJson, make, quietTime, showText, streamFigures, tell } from "./common.js";

const asked = new URLSearchParams(location.search), a = asked.get("a"), b = asked.get("b");

async function showStatements(query) {
  const text = byId("text");
  try {
    showText(text, (await getJson(`/api/compare?${query}`)).text);
    tell(byId("statements-state"), "");
  } catch (error) {
    tell(byId("statements-state"), error.message);
  }
}

byId("swap").addEventListener("click", () => {
  [byId("a").value, byId("b").value] = [byId("b").value, byId("a").value];
  byId("pair").requestSubmit();
});

try {
  const { results: all, is_measuring: isMeasuring } = await getJson("/api/results"), results = all.filter(result => !result.problem);
  const sweeps = results.filter(result => result.kind === "sweep" || result.name === a || result.name === b);
  for (const [select, name, other] of [[byId("a"), a, 1], [byId("b"), b, 0]]) {
    select.append(...sweeps.map(result => make("option", { value: result.name }, result.name)));
    select.value = name ?? sweeps[Math.min(other, sweeps.length - 1)]?.name;
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
