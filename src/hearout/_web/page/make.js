// Elements, for both pages. Text is always text: names and words come from callers.

// Without what turns the direction of the words after it: a name could otherwise make others' words read as its own.
export function clean(text) {
  return text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

export function make(tag, kind = "", text = null) {
  const made = document.createElement(tag);
  if (kind !== "") made.className = kind;
  if (text !== null) made.textContent = text;
  return made;
}

export function fill(parent, children) {
  parent.replaceChildren(...children);
}

export function moment(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const isGood = (outcome) => ["finished", "sent", "answered"].includes(outcome);
const isOpen = (outcome) => ["owed", "playing"].includes(outcome);

export function tone(outcome) {
  return isOpen(outcome) ? "" : isGood(outcome) ? "good" : "bad";
}

export function chip(id, outcome, level) {
  const made = make("span", `chip ${tone(outcome)}`);
  made.dir = "auto";
  const rests = level === "" ? "" : `, ${level}`;
  made.append(`${id} `, make("b", "", outcome), rests);
  return made;
}

export function words(text, tag = "span") {
  const made = text === "" ? make(tag, "not-kept", "words not kept") : make(tag, "", text);
  made.dir = "auto";
  return made;
}

export function facts(pairs, kind = "") {
  const list = make("dl", kind);
  for (const [name, what] of pairs) {
    if (what === null || what === "") continue;
    const value = make("dd");
    value.dir = "auto";
    value.append(what);
    list.append(make("dt", "", name), value);
  }
  return list;
}
