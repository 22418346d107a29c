// The page: what is typed goes to the worker, what Python saw comes back.
const $ = (id) => document.getElementById(id);
const PATIENCE = 10_000; // milliseconds that a script may run

const state = { version: 0, shown: 0, view: "drawing", seen: null, ready: false };
let worker, watch;

function start() {
  worker?.terminate();
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => (data.broken ? say(`Python could not start: ${data.broken}`) : show(data));
  worker.onerror = (event) => say(`Python could not start: ${event.message}`);
}

function say(text) {
  $("state").value = text;
}

function run() {
  state.version += 1;
  state.asked = performance.now();
  worker.postMessage({ code: $("code").value, version: state.version });
  clearTimeout(watch);
  watch = setTimeout(() => {
    if (!state.ready) return run(); // Python is still loading
    say("The script ran for ten seconds and was stopped.");
    start();
  }, PATIENCE);
  number();
}

function show({ version, seen }) {
  if (version !== state.version) return;
  clearTimeout(watch);
  state.ready = true;
  const now = JSON.parse(seen);
  const { error, skipped, models } = now;
  $("error").hidden = !error;
  if (error) {
    const pre = document.createElement("pre");
    pre.textContent = `${error.line ? `line ${error.line}: ` : ""}${error.kind}: ${error.text}`;
    $("error").replaceChildren(pre);
  }
  $("skipped").hidden = !skipped.length;
  $("skipped").textContent = skippedText(skipped);
  if (!error) {
    state.seen = now;
    choose(models);
  }
  state.seen = { ...(state.seen ?? now), printed: now.printed };
  $("view").classList.toggle("old", Boolean(error));
  render();
  number(error?.line, skipped);
  say(`${Math.round(performance.now() - state.asked)} ms`);
  document.body.dataset.version = version; // what tests wait for
}

function skippedText(skipped) {
  const lines = skipped.map(([from, to]) => (from === to ? from : `${from}–${to}`)).join(", ");
  const needs = [...new Set(skipped.map(([, , what]) => what))].join(", ");
  return `Not run here: line ${lines} (needs ${needs}). The rest describes models, for which nothing is needed.`;
}

function choose(models) {
  const before = $("model").value;
  $("model").replaceChildren(...models.map(({ name }) => new Option(name)));
  if (models.some(({ name }) => name === before)) $("model").value = before;
  $("model").hidden = models.length < 2;
}

function render() {
  const model = state.seen?.models.find(({ name }) => name === $("model").value);
  const texts = { printed: state.seen?.printed || "Nothing was printed." };
  const empty = { changes: "No version differs from this one yet.", lint: "Nothing was found." };
  if (state.view in texts) {
    const pre = document.createElement("pre");
    pre.textContent = texts[state.view];
    $("view").replaceChildren(pre);
  } else {
    $("view").innerHTML = model ? model[state.view] || empty[state.view] : "<p>The script has no model yet.</p>";
  }
}

function number(wrong, skipped = []) {
  const count = $("code").value.split("\n").length;
  const out = (line) => skipped.some(([from, to]) => from <= line && line <= to);
  const shown = Array.from({ length: count }, (_, at) => at + 1);
  $("lines").innerHTML = shown.map((line) => (line === wrong ? `<b>${line}</b>` : out(line) ? `<i>${line}</i>` : line)).join("\n");
}

// A link holds the script in its fragment, compressed; browsers do not send fragments.

async function packed(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}

async function load(name) {
  $("code").value = await (await fetch(`scripts/${name}.py`)).text();
  worker.postMessage({ forget: true });
  run();
}

async function begin() {
  start();
  const names = await (await fetch("scripts.json")).json();
  $("example").replaceChildren(...names.map((name) => new Option(name.replaceAll("_", " "), name)));
  try {
    if (location.hash.length > 1) {
      $("code").value = await unpacked(location.hash.slice(1));
      return run();
    }
  } catch {
    say("The link's script cannot be read.");
  }
  await load(names[0]);
}

$("code").addEventListener("input", run);
$("code").addEventListener("scroll", () => ($("lines").scrollTop = $("code").scrollTop));
$("code").addEventListener("keydown", (event) => {
  if (event.key !== "Tab" || event.shiftKey || event.ctrlKey) return; // Escape, then Tab leaves the editor
  if (state.leaving) return;
  event.preventDefault();
  document.execCommand("insertText", false, "    ");
});
$("code").addEventListener("keydown", (event) => (state.leaving = event.key === "Escape"));
$("example").addEventListener("change", (event) => load(event.target.value));
$("model").addEventListener("change", render);
$("pin").addEventListener("click", () => {
  worker.postMessage({ pin: true });
  run();
});
$("link").addEventListener("click", async () => {
  location.hash = await packed($("code").value);
  await navigator.clipboard?.writeText(location.href).catch(() => {});
  say("The link is in the address bar and on the clipboard.");
});
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => {
    state.view = tab.dataset.view;
    for (const other of document.querySelectorAll("[role=tab]")) other.setAttribute("aria-selected", other === tab);
    render();
  });
}
begin();
