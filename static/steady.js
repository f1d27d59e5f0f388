// What makes the pages livelier. Everything works without it.
"use strict";

const LOG_LINES_MAX = 1000;
const REQUESTS_MAX = 200;

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const live = (name) => document.querySelector(`[data-live="${name}"]`);

for (const element of all("[data-script], [data-copy]")) element.hidden = false;

// Times in the reader's own zone; the server wrote them in UTC.
function localTime(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const pad = (number, width = 2) => String(number).padStart(width, "0");
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  if (element.hasAttribute("data-clock")) element.textContent = `${clock}.${pad(at.getMilliseconds(), 3)}`;
  else element.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: element.hasAttribute("data-day") ? undefined : element.hasAttribute("data-seconds") ? "medium" : "short" });
  element.title = at.toISOString();
}
all("time[datetime]").forEach(localTime);

for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
}

// A form that was sent says so, and is not sent twice.
for (const form of all("form[data-busy]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    const button = form.querySelector("button:not([type=button])");
    button.setAttribute("aria-busy", "true");
    button.dataset.words = button.textContent;
    button.textContent = form.dataset.busy;
  });
}
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of all("form[data-sent]")) {
    delete form.dataset.sent;
    const button = form.querySelector("button[aria-busy]");
    button.removeAttribute("aria-busy");
    button.textContent = button.dataset.words;
  }
});

// Editing: Tab indents (Escape first, and it leaves the editor), Ctrl+Enter or Ctrl+S sends.
for (const area of all("textarea.code")) {
  let leaving = false;
  area.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && (event.key === "Enter" || event.key === "s")) {
      event.preventDefault();
      area.form.requestSubmit();
    } else if (event.key === "Escape") {
      leaving = true;
    } else if (event.key === "Tab" && !leaving && !event.shiftKey) {
      event.preventDefault();
      document.execCommand("insertText", false, "  "); // keeps the undo history
    } else if (event.key !== "Shift") {
      leaving = false;
    }
  });
  area.addEventListener("blur", () => { leaving = false; });
  const line = Number(area.dataset.line);
  if (line > 0 && area.offsetParent) {
    const starts = area.value.split("\n").slice(0, line - 1).join("\n").length;
    area.focus({ preventScroll: true });
    area.setSelectionRange(starts + (line > 1 ? 1 : 0), starts + (line > 1 ? 1 : 0));
    area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(area).lineHeight));
  }
}

// What is typed where there was nothing is a text, until somebody says otherwise.
for (const area of all(".row-form textarea")) {
  const kind = area.parentElement.querySelector("select");
  area.addEventListener("input", () => { if (area.value && /null|default/.test(kind.value)) kind.value = "text"; });
}

// A file to import: text into the field, a database as Base64 beside it.
for (const input of all("[data-import]")) {
  input.addEventListener("change", async () => {
    const [file, form] = [input.files[0], input.form];
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    const database = new TextDecoder().decode(bytes.subarray(0, 15)) === "SQLite format 3";
    form.elements.base64.value = "";
    form.elements.content.value = database ? "" : new TextDecoder().decode(bytes);
    if (database) {
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      form.elements.base64.value = btoa(text);
    }
    form.elements.format.value = database ? "sqlite" : /\.sql$/i.test(file.name) ? "sql" : "csv";
    if (!form.elements.into.value) form.elements.into.value = file.name.replace(/\..*$/, "");
  });
}

// Unsent edits are not lost by a stray click.
for (const form of all("form[data-guard]")) {
  let changed = false;
  form.addEventListener("input", () => { changed = true; });
  addEventListener("beforeunload", (event) => { if (changed && !form.dataset.sent) event.preventDefault(); });
}

// The app's page: log, requests and state as they happen.
function cell(row, text, name) {
  const made = row.insertCell();
  made.textContent = text;
  if (name) made.className = name;
  return made;
}
function timeOf(item) {
  const time = document.createElement("time");
  time.dateTime = item.at;
  time.setAttribute("data-clock", "");
  localTime(time);
  return time;
}
// Control and direction characters are shown, not obeyed.
const plain = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
const span = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

const show = {
  log(item) {
    const log = live("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const line = document.createElement("p");
    if (item.source !== "app") line.className = "ours";
    line.append(timeOf(item), plain(item.text));
    log.append(line);
    while (log.childElementCount > LOG_LINES_MAX) log.firstElementChild.remove();
    live("no-log").hidden = true;
    if (atEnd) log.scrollTop = log.scrollHeight;
  },
  missed(item) {
    show.log({ at: new Date().toISOString(), source: "steadyd", text: `${item.missed} not shown here: they came too fast` });
  },
  request(item) {
    const row = live("requests").insertRow(0);
    cell(row, "").append(timeOf(item));
    cell(row, plain(item.method));
    cell(row, plain(item.path), "path");
    cell(row, item.error ? `${item.status} ${item.error}` : String(item.status), `s${Math.floor(item.status / 100)}`);
    cell(row, span(item.total_us / 1000), "number");
    while (live("requests").childElementCount > REQUESTS_MAX) live("requests").lastElementChild.remove();
    live("no-requests").hidden = true;
  },
  state(item) {
    const pill = live("state");
    pill.textContent = item.state;
    pill.className = `pill ${item.state}`;
    live("sentence").textContent = item.sentence;
    live("memory").textContent = item.memory_bytes ? `${Math.round(item.memory_bytes / 1048576)} MiB` : "–";
    live("cpu").textContent = `${item.cpu_seconds.toFixed(1)} s`;
    if (live("version")) {
      live("version").textContent = item.version;
      live("newer").hidden = String(item.version) === live("newer").dataset.base;
    }
    for (const form of all("[data-when]")) form.hidden = !form.dataset.when.split(" ").includes(item.state);
  },
};

const side = document.querySelector("[data-stream]");
if (side) {
  const log = live("log");
  log.scrollTop = log.scrollHeight;
  let source = null;
  let last = "";
  const status = (on, words) => {
    live("link").classList.toggle("on", on);
    live("link-words").textContent = words;
  };
  const open = () => {
    const url = new URL(side.dataset.stream, location.href);
    if (last) url.searchParams.set("since", last);
    source = new EventSource(url);
    source.onopen = () => status(true, "live");
    source.onerror = () => status(false, "reconnecting");
    for (const name of Object.keys(show)) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        show[name](JSON.parse(event.data));
      });
    }
  };
  const close = () => {
    source?.close();
    source = null;
    status(false, "paused");
  };
  // A page nobody looks at needs no connection; browsers have only six for one host.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => { if (!source && !document.hidden) open(); });
  if (!document.hidden) open();
}
