// The list of calls, and which of the two is shown. One call is in call.js. Whatever comes from a call is set as text.
import { CallView } from "./call.js";
import { chip, clean, fill, make, moment } from "./make.js";

const found = (id) => document.getElementById(id);
const filters = found("filters");
const one = new CallView(found("one"));
let [asked, from] = [0, null]; // the newest request, and the link that opened the call

async function get(path, values = {}) {
  const answer = await fetch(`${path}?${new URLSearchParams(values)}`).catch(() => {
    throw new Error("The page's server does not answer. Is hearout receipts serve still running?");
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `The server refused (${answer.status}).`);
  // a call is asked for by its name as it is; `clean` is for what is shown
  return JSON.parse(await answer.text(), (key, value) => (typeof value === "string" && key !== "call" ? clean(value) : value));
}

function alert(error) {
  fill(found("alerts"), error === null ? [] : [make("div", "alert", error.message)]);
}

function chosen() {
  const values = Object.fromEntries([...new FormData(filters)].filter(([, value]) => value !== ""));
  const day = (text, more) => Date.parse(`${text}T00:00:00Z`) / 1000 + more;
  if (values.since) values.since = day(values.since, 0);
  if (values.until) values.until = day(values.until, 86400); // to the end of that day
  return values;
}

async function list() {
  const mine = ++asked;
  try {
    const told = await get("calls", chosen());
    if (mine !== asked) return; // other filters were chosen meanwhile
    alert(null);
    const older = told.older > 0 ? ` ${told.older} older ones are not shown: choose a time.` : "";
    found("count").textContent = told.calls.length === 0
      ? "No call is like that." : `${told.calls.length} ${told.calls.length === 1 ? "call" : "calls"}.${older}`;
    document.querySelector("table").hidden = told.calls.length === 0;
    fill(found("calls"), told.calls.map(row));
  } catch (error) {
    if (mine === asked) alert(error);
  }
}

function row(call) {
  const link = make("a", "", clean(call.call) || "(no name)");
  link.href = `#call=${encodeURIComponent(call.call)}`;
  link.dir = "auto";
  const said = make("div", "said");
  fill(said, call.utterances.slice(0, 8).map((each) => chip(each.id, each.outcome, each.level)));
  if (call.utterances.length > 8) said.append(make("span", "quiet", `and ${call.utterances.length - 8} more`));
  const made = make("tr");
  const cells = [["when", moment(call.at)], ["", link], ["", said], ["", call.held, "Words held"], ["", call.questions, "Questions"]];
  for (const [kind, what, name] of cells) {
    const cell = make("td", kind);
    cell.append(what === 0 ? "–" : what);
    if (name !== undefined) cell.dataset.name = name;
    if (what === 0) cell.classList.add("none");
    made.append(cell);
  }
  return made;
}

async function check() {
  const [line, limits] = [found("verdict"), found("limits")];
  [line.className, line.textContent, limits.textContent] = ["", "Every row is being checked …", ""];
  found("again").disabled = true;
  try {
    const told = await get("verify");
    line.className = told.fault === null ? "good" : "bad";
    line.textContent = told.fault === null
      ? `Unchanged: each of ${told.rows} rows is as it was written, after the one before.`
      : `${told.fault.row}: ${told.fault.what}. Good before it: ${told.rows}.`;
    const signed = told.signed === 0 ? "No row is signed." : `Signed: ${told.signed}, ${told.checked ? "checked." : "not checked (--key)."}`;
    limits.textContent = [signed, ...told.unknown.map((each) => `Not shown: ${each}.`)].join(" ");
  } catch (error) {
    [line.className, line.textContent] = ["bad", error.message];
  }
  found("again").disabled = false;
}

async function show() {
  const name = location.hash.startsWith("#call=") ? decodeURIComponent(location.hash.slice(6)) : null;
  const mine = ++asked;
  document.title = name === null ? "Receipts" : `${clean(name)} – receipts`;
  if (name === null) {
    [found("one").hidden, found("list").hidden] = [true, false];
    one.clear();
    await list();
    [...found("calls").querySelectorAll("a")].find((link) => link.hash === from)?.focus();
    return;
  }
  from = location.hash;
  try {
    const told = await get("call", { call: name });
    if (mine !== asked) return;
    alert(null);
    one.show(told);
    [found("one").hidden, found("list").hidden] = [false, true];
    scrollTo(0, 0);
    found("call-title").focus();
    one.draw();
  } catch (error) {
    if (mine === asked) alert(error);
  }
}

const option = (value) => {
  const made = make("option", "", value);
  made.value = value;
  return made;
};

addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !found("one").hidden) location.hash = "";
});
filters.addEventListener("input", list);
filters.addEventListener("submit", (event) => event.preventDefault());
found("again").addEventListener("click", check);
try {
  const book = await get("book");
  found("where").textContent = `Book “${book.book}” in ${book.ledger}. This page reads, and changes nothing. Times are UTC.`;
  filters.elements.outcome.append(...book.outcomes.map(option));
  filters.elements.level.append(...book.levels.map(option));
} catch (error) {
  alert(error);
}
await show();
check();
