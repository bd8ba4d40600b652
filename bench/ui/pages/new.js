// The form of a new experiment. The server turns it into a command line, and says what would be wrong with it.

import { byId, getJson, live, make, send, showCommand, showGoing, tell, working } from "./common.js";

const form = byId("form"), fields = ["concurrency", "rate", "delay", "trials", "waves", "requests", "duration", "capacity", "queue", "fault_share"];
const placeholders = Object.fromEntries(fields.map(name => [name, form.elements[name].placeholder]));
let choices = null;

const boxes = () => [...form.querySelectorAll("input[name=crawlers]")];
const isDefault = names => { const wanted = defaults(); return names.length === wanted.length && names.every(name => wanted.includes(name)); };
const presetName = () => (form.elements.scenario.value ? "scenario" : form.elements.preset.value);
const preset = () => choices.presets[presetName()];
const defaults = () => preset().crawlers;

function asked() {
  const isOpen = form.elements.loop.value === "open";
  const names = boxes().filter(box => box.checked).map(box => box.value);
  // Without a crawler, one stands for those to come: all other mistakes can be told.
  const crawlers = names.length ? (isDefault(names) ? [] : names) : [choices.crawlers.find(one => one.is_installed && one.open_loop).name];
  const answer = { crawlers, open_loop: isOpen, quick: form.elements.preset.value === "quick", scenario: form.elements.scenario.value };
  for (const name of fields) {
    const isOther = (name === "rate" && !isOpen) || (name === "waves" && isOpen);
    answer[name] = isOther ? "" : form.elements[name].value.trim();
  }
  return answer;
}

// The problem is shown below the field that it names first, one that is filled in if there is one, and otherwise below
// the command.
const named = [...fields, "scenario"];

function showProblem(text) {
  for (const error of form.querySelectorAll(".error")) error.remove();
  for (const name of named) form.elements[name].removeAttribute("aria-invalid");
  const at = name => text.search(new RegExp(`\\b${fieldName(name)}\\b`));
  const [field] = named.filter(name => at(name) >= 0).sort((a, b) => !form.elements[a].value - !form.elements[b].value || at(a) - at(b));
  if (field) {
    text = text.replace(`${fieldName(field)}: `, "");
    const input = form.elements[field];
    input.setAttribute("aria-invalid", "true");
    input.after(make("span", { class: "error" }, text));
    if (byId("service").contains(input)) byId("service").open = true;
  }
  return field;
}

const fieldName = name => form.querySelector(`label[for=${name}]`).textContent;

let latest = 0, timer = 0;

function changed() {
  if (!choices) return; // they have not come yet
  clearTimeout(timer);
  timer = setTimeout(refresh, 150);
  showDefaults();
}

async function refresh() {
  const mine = ++latest, count = boxes().filter(box => box.checked).length;
  byId("crawler-count").textContent = `${count} chosen`;
  let answer;
  try {
    answer = await send("POST", "/api/command", asked());
  } catch (error) {
    answer = { command: error.answer?.command, problem: error.message };
  }
  if (mine === latest) show(answer, count > 0); // an older answer may come later
}

function show({ command, about, problem }, hasCrawlers) {
  showCommand(byId("command"), (hasCrawlers && command) || "");
  byId("command").parentElement.hidden = !(hasCrawlers && command);
  const field = showProblem(problem ?? ""), said = field ? `${fieldName(field)}: see the message below the field.` : problem;
  const problems = [hasCrawlers ? "" : "Choose at least one crawler.", said].filter(Boolean);
  byId("about").textContent = problems.join(" ") || about;
  byId("about").classList.toggle("bad", problems.length > 0);
  form.dataset.isReady = problems.length ? "" : "yes";
  showStart();
}

function showDefaults() {
  const isOpen = form.elements.loop.value === "open", hasScenario = presetName() === "scenario";
  byId("preset-hint").textContent = hasScenario ? "Quick and Standard do not apply: a scenario sets the delay, the service and the times." : form.elements.preset.value === "quick" ? "One trial at a few concurrencies: a first look." : "Several trials, which show the noise.";
  byId("loop-hint").textContent = isOpen ? "Requests are sent at a rate and do not wait for each other. Concurrency is then the most that may be in flight."
    : "A crawler keeps a number of requests in flight, and begins the next one when one ends.";
  for (const name of fields) {
    const isSet = hasScenario && !["concurrency", "trials"].includes(name);
    form.elements[name].placeholder = isSet ? "as the scenario sets it" : preset()[name] || placeholders[name];
  }
  if (isOpen) form.elements.concurrency.placeholder = "most in flight";
  for (const field of form.querySelectorAll("[data-loop]")) field.hidden = field.dataset.loop !== form.elements.loop.value;
}

function showStart() {
  byId("start").disabled = live.isBusy || form.dataset.isReady !== "yes";
  byId("wait").hidden = !live.isRunning;
}

function crawler(one) {
  const name = `name-${one.name}`, hint = `about-${one.name}`;
  return make("label", { class: one.is_installed ? null : "missing" },
    make("input", { type: "checkbox", name: "crawlers", value: one.name, disabled: !one.is_installed, "aria-labelledby": name, "aria-describedby": hint }),
    make("span", { class: "name", id: name }, one.name),
    make("span", { class: "hint", id: hint }, one.is_installed ? one.summary : `not installed: ${one.why_not}`));
}

function choose(wanted) {
  for (const box of boxes()) {
    box.checked = !box.disabled && (wanted === "all" || (wanted === "default" && defaults().includes(box.value)));
  }
  changed();
}

let chosen = "quick"; // the preset whose crawlers are checked, unless others are
form.addEventListener("input", event => {
  if (event.target.name === "scenario" && event.target.value) {
    form.elements.preset.value = "standard";
    form.elements.loop.value = "closed";
  }
  if (choices && presetName() !== chosen) {
    const was = choices.presets[chosen].crawlers, now = boxes().filter(box => box.checked).map(box => box.value);
    chosen = presetName();
    if (now.join() === boxes().map(box => box.value).filter(name => was.includes(name)).join()) choose("default");
  }
  changed();
});
form.addEventListener("click", event => {
  const wanted = event.target.closest("[data-choose]")?.dataset.choose;
  if (wanted) choose(wanted);
});
form.addEventListener("submit", event => {
  event.preventDefault();
  if (byId("start").disabled) return;
  working(byId("start"), async () => {
    await send("POST", "/api/experiments", asked());
    location.assign("/running");
  }).then(showStart);
});

showGoing(byId("going"));
live.watch(showStart);
try {
  choices = await getJson("/api/choices");
  byId("crawler-list").replaceChildren(...choices.crawlers.map(crawler));
  for (const one of choices.scenarios) {
    byId("scenario").append(make("option", { value: one.name, title: one.summary }, one.name));
  }
  choose("default");
} catch (error) {
  tell(byId("problem"), error.message);
}
