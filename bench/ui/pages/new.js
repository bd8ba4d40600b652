// The form of a new experiment. The server turns it into a command line, and says what would be wrong with it.

import { byId, getJson, live, make, send, showCommand, showGoing, tell, working } from "./common.js";

const form = byId("form"), fields = ["concurrency", "rate", "delay", "trials", "waves", "requests", "duration", "capacity", "queue", "fault_share"];
let choices = null;

const boxes = () => [...form.querySelectorAll("input[name=crawlers]")];
const isDefault = names => { const wanted = defaults(); return names.length === wanted.length && names.every(name => wanted.includes(name)); };
const preset = () => choices.presets[form.elements.preset.value];
const defaults = () => preset().crawlers;

function asked() {
  const isOpen = form.elements.loop.value === "open";
  const names = boxes().filter(box => box.checked).map(box => box.value);
  const answer = { crawlers: isDefault(names) ? [] : names, quick: form.elements.preset.value === "quick", scenario: form.elements.scenario.value };
  for (const name of fields) {
    const isOther = (name === "rate" && !isOpen) || (name === "waves" && isOpen);
    answer[name] = isOther ? "" : form.elements[name].value.trim();
  }
  return answer;
}

// The problem is shown below the field that it names, and otherwise below the command.

function showProblem(text) {
  for (const error of form.querySelectorAll(".error")) error.remove();
  for (const name of fields) form.elements[name].removeAttribute("aria-invalid");
  const option = text.match(/--([a-z-]+)|^([a-z_]+):/)?.slice(1).find(Boolean)?.replaceAll("-", "_");
  const field = fields.find(name => name === option);
  text = text.replace(/^argument [^:]*: /, "");
  if (field) {
    const input = form.elements[field];
    input.setAttribute("aria-invalid", "true");
    input.after(make("span", { class: "error" }, text));
    if (byId("service").contains(input)) byId("service").open = true;
  }
  const about = byId("about");
  about.classList.toggle("bad", Boolean(text));
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
  if (!count && !form.elements.scenario.value) {
    showProblem("");
    show({ command: byId("command").textContent, problem: "Choose at least one crawler." });
    return;
  }
  let answer;
  try {
    answer = await send("POST", "/api/command", asked());
  } catch (error) {
    answer = { command: error.answer?.command, problem: error.message };
  }
  if (mine === latest) show(answer); // an older answer may come later
}

function show({ command, about, problem }) {
  if (command) showCommand(byId("command"), command);
  const field = showProblem(problem ?? "");
  byId("about").textContent = problem ? (field ? `${fieldName(field)}: see the message below the field.` : problem) : about ?? "";
  form.dataset.isReady = problem ? "" : "yes";
  showStart();
}

function showDefaults() {
  const isOpen = form.elements.loop.value === "open";
  byId("preset-hint").textContent = form.elements.preset.value === "quick" ? "One trial at a few concurrencies: a first look." : "Several trials, which show the noise.";
  byId("loop-hint").textContent = isOpen ? "Requests are sent at a rate and do not wait for each other. Concurrency is then the most that may be in flight."
    : "A crawler keeps a number of requests in flight, and begins the next one when one ends.";
  form.elements.concurrency.placeholder = isOpen ? "most in flight" : preset().concurrency;
  for (const name of ["delay", "trials", "waves"]) form.elements[name].placeholder = preset()[name];
  for (const field of form.querySelectorAll("[data-loop]")) field.hidden = field.dataset.loop !== form.elements.loop.value;
}

function showStart() {
  byId("start").disabled = live.isRunning || form.dataset.isReady !== "yes";
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
  if (event.target.name === "preset" && choices) {
    const was = choices.presets[chosen].crawlers, now = boxes().filter(box => box.checked).map(box => box.value);
    chosen = event.target.value;
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
