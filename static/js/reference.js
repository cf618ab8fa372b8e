// The API reference: a key of the reader's own, kept by this tab alone, and forms that send what they show.
const keyField = document.getElementById("api-key");
const authorize = document.getElementById("authorize");
const who = document.getElementById("who");
const forget = document.getElementById("forget");
const operations = document.getElementById("operations");
const say = (name, ...values) => values.reduce((text, value) => text.replace("%s", value), operations.dataset[name]);

const KEPT = "chuizi-api-key";
const key = () => keyField.value.trim();
const headers = () => ({ Authorization: `Bearer ${key()}` });

async function lookAtKey() {
  who.className = "";
  who.textContent = who.dataset.working;
  try {
    const answer = await fetch("/v1/key/info", { headers: headers(), credentials: "omit" });
    const told = await answer.json();
    if (answer.ok) {
      sessionStorage.setItem(KEPT, key());
      const { name, key_prefix: prefix, available } = told.data;
      who.className = "ok";
      who.textContent = who.dataset.works.replace("%s", `${name} (${prefix}…)`).replace("%s", () => `$${Number(available).toFixed(2)}`);
    } else {
      sessionStorage.removeItem(KEPT);
      who.className = "error";
      who.textContent = told.error.message;
    }
    forget.hidden = !answer.ok;
  } catch {
    who.className = "error";
    who.textContent = who.dataset.unreachable;
  }
}

authorize.hidden = false;
authorize.addEventListener("submit", (event) => {
  event.preventDefault();
  if (key()) lookAtKey();
  else keyField.focus();
});
forget.addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  keyField.value = who.textContent = "";
  forget.hidden = true;
  keyField.focus();
});
if (sessionStorage.getItem(KEPT)) {
  keyField.value = sessionStorage.getItem(KEPT);
  lookAtKey();
}

// One request: what a form asks for.
function asked(form) {
  const body = {}, query = new URLSearchParams(), parts = new FormData();
  let path = form.dataset.path, options = { method: form.dataset.method, headers: headers(), credentials: "omit" };
  for (const field of form.elements) {
    const place = field.dataset.place;
    if (place === "path") path = path.replace(`{${field.name}}`, field.value.trim().split("/").map(encodeURIComponent).join("/"));
    if (place === "query" && field.value) query.append(field.name, field.value);
    if (place === "" && field.type === "file" && field.files.length) parts.append(field.name, field.files[0]);
    if (place === "" && field.type !== "file" && field.value) parts.append(field.name, field.value);
    if (place === "body") {
      Object.assign(body, JSON.parse(field.value));
      options.body = field.value;
    }
    if (place === "stream" && field.checked) options.body = JSON.stringify({ ...body, stream: true });
  }
  if (options.body) options.headers["Content-Type"] = "application/json";
  else if ([...parts].length) options.body = parts;
  return [query.size ? `${path}?${query}` : path, options];
}

const SHOWN = ["Content-Type", "X-Request-Id", "X-Generation-Id", "X-RateLimit-Remaining", "Retry-After"];

async function show(form, answer) {
  const result = form.querySelector(".result"), facts = result.querySelector("dl"), text = result.querySelector("pre");
  result.hidden = false;
  facts.replaceChildren();
  for (const name of SHOWN.filter((one) => answer.headers.has(one))) {
    facts.append(Object.assign(document.createElement("dt"), { textContent: name }));
    facts.append(Object.assign(document.createElement("dd"), { textContent: answer.headers.get(name) }));
  }
  text.textContent = "";
  const kind = answer.headers.get("Content-Type") || "";
  if (kind.startsWith("application/json")) {
    text.textContent = JSON.stringify(await answer.json(), null, 2);
  } else if (kind.startsWith("text/")) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text.textContent += part.value;
      text.scrollTop = text.scrollHeight;
    }
  } else {
    const file = await answer.blob();
    text.textContent = file.size ? `${kind} · ${say("bytes", file.size)}` : "";
  }
}

async function send(form) {
  const told = form.querySelector("[role=status]"), stop = form.querySelector("[data-stop]");
  const fail = (text) => { told.className = "bad"; told.textContent = text; };
  if (!key()) {
    fail(say("nokey"));
    return;
  }
  let address, options;
  try {
    [address, options] = asked(form);
  } catch (error) {
    fail(say("nojson", error.message));
    return;
  }
  const cut = new AbortController(), button = form.querySelector(".btn.go"), began = performance.now();
  stop.onclick = () => cut.abort();
  stop.hidden = false;
  button.disabled = true;
  told.className = "soft";
  told.textContent = say("sending");
  try {
    const answer = await fetch(address, { ...options, signal: cut.signal });
    const after = () => say("took", answer.status, Math.round(performance.now() - began));
    told.textContent = after();
    await show(form, answer);
    told.className = answer.ok ? "ok" : "bad";
    told.textContent = after();
  } catch {
    fail(say(cut.signal.aborted ? "stopped" : "failed"));
  }
  stop.hidden = true;
  button.disabled = false;
}

for (const form of operations.querySelectorAll(".try")) form.hidden = false;
operations.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.target);
});

// Find a path, and come to one by its address.
const find = document.getElementById("find");
document.getElementById("filter").hidden = false;
find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let any = false;
  for (const group of operations.querySelectorAll(".ops")) {
    let some = false;
    for (const one of group.querySelectorAll(".op")) {
      const text = one.querySelector("summary").textContent.toLowerCase();
      one.hidden = !words.every((word) => text.includes(word));
      some = some || !one.hidden;
    }
    group.hidden = !some;
    any = any || some;
  }
  document.getElementById("none").hidden = any;
});

function open() {
  const there = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!there || !there.matches(".op")) return;
  there.open = true;
  there.scrollIntoView();
}
addEventListener("hashchange", open);
open();
operations.addEventListener("toggle", (event) => {
  if (event.target.matches(".op") && event.target.open) history.replaceState(null, "", `#${event.target.id}`);
}, true);
