// What is said, in two lanes: the agent's captions, and the caller's with what became of each.
import { clock, make } from "./make.js";
import { alike, linesOf } from "./pairing.js";

const FATES = {
  held: "held",
  delivered: "held → answered",
  answered: "answered",
  "handed back": "held → begins your turn",
  noted: "held → noted, not answered",
  dropped: "held → recorded only",
  backchannel: "“I am listening”: not answered",
  echo: "the agent's own echo",
  repeated: "said again by the recogniser",
  "too much": "left out: too much was typed",
  machine: "an answering machine",
  "caller gone": "held → you were gone",
  "shut down": "held → the call ended",
};

export class Lanes {
  constructor(list, { agentSpeaks }) {
    this.list = list;
    this.agentSpeaks = agentSpeaks;
    this.began = null;
    this.segments = new Map(); // by LiveKit's segment: the entry
    this.caller = []; // the caller's lines: {entry, text, kind, segment, final, heldAs, told, length, settled}
    this.heldSoFar = 0;
    this.times = new Map(); // of each entry: the seconds at which it began, and last grew
    [this.beside, this.next] = [null, 1]; // the agent's newest entry with the rows that it takes; the next free row
  }

  begin() {
    this.list.replaceChildren();
    this.began = performance.now();
    this.segments.clear();
    [this.caller, this.heldSoFar] = [[], 0];
    this.times.clear();
    [this.beside, this.next] = [null, 1];
  }

  get now() {
    return (performance.now() - this.began) / 1000;
  }

  says(entry, text) {
    write(entry, text);
    this.times.get(entry)[1] = this.now;
  }

  // What is drawn when the call is over; of a question that was decided, what was chosen is at its last asking.
  drawn(decided) {
    const said = [...this.times].filter(([entry]) => entry.isConnected).map(([entry, [start, end]]) => {
      const [lane, text] = [entry.classList.contains("agent") ? "agent" : "caller", entry.querySelector(".text").textContent];
      const badge = entry.querySelector(".badge");
      const note = lane === "caller" && badge !== null ? badge.textContent : "";
      const kind = badge === null ? lane : lane === "agent" ? "protected" : "held";
      return { lane, start, end, text, kind, note };
    });
    for (const { text, choice, outcome } of decided) {
      const asked = said.filter((one) => one.lane === "agent" && alike(one.text, text));
      for (const one of asked) one.kind = "question";
      if (asked.length > 0) asked.at(-1).note = `asked → ${choice || outcome}`;
    }
    return said;
  }

  agentSays(segment, text) {
    const entry = this.segments.get(segment) ?? this.add("agent", "Agent", segment);
    this.says(entry, text);
  }

  mark(segment, word) {
    badge(this.segments.get(segment), "protected", word);
  }

  protectNewest() {
    const [entry, [began]] = [...this.times].findLast(([one]) => one.classList.contains("agent")) ?? [undefined, [0]];
    if (this.now - began < 1) badge(entry, "protected", "protected");
  }

  callerSays(segment, text, final) {
    let entry = this.segments.get(segment);
    if (entry === undefined) {
      if (text.trim() === "") return;
      // The floor may have told of these words first.
      const untold = this.caller.filter((one) => one.segment === null && one.kind === "spoken");
      const known = final ? untold.find((one) => alike(one.text, text)) : undefined;
      if (known !== undefined) {
        known.segment = segment;
        this.segments.set(segment, known.entry);
        return;
      }
      entry = this.add("caller", "You", segment);
      this.line(entry, text, { segment, final });
    }
    const words = this.caller.find((one) => one.entry === entry);
    if (words.final && !final) return; // a guess that came late
    [words.text, words.final] = [text, final];
    entry.classList.toggle("guess", !final);
    this.says(entry, text);
    if (text.trim() === "") this.remove(words);
  }

  callerTyped(text) {
    const segment = `typed ${performance.now()}`; // none of LiveKit's
    const entry = this.add("caller", "You", segment);
    write(entry, text);
    this.line(entry, text, { kind: "typed", segment });
    return segment;
  }

  held({ text, kind, length }) {
    const free = this.caller.filter((one) => one.heldAs === 0 && !one.settled && one.kind === kind);
    // A caption's last word may come after this: until then its guess is shown.
    const known = free.find((one) => alike(one.text, text)) ?? free.find((one) => !one.final);
    const words = known ?? this.sayWithoutCaption(text, kind);
    this.heldSoFar += 1;
    [words.heldAs, words.told, words.length] = [this.heldSoFar, text, length ?? [...text].length];
    badge(words.entry, "held", FATES.held);
  }

  fate(message) {
    const { text, kind, fate } = message;
    const lines = linesOf(message, this.caller);
    // Of what was said twice, the second line says so; where that line says more, its own fate comes.
    if (lines.length === 0 && fate !== "repeated") lines.push(this.sayWithoutCaption(text, kind));
    for (const words of lines) {
      words.settled = true;
      badge(words.entry, "fate", FATES[fate] ?? fate);
    }
  }

  sayWithoutCaption(text, kind) {
    const entry = this.add("caller", "You", null);
    write(entry, kind === "pressed" ? `[keys ${text}]` : text);
    return this.line(entry, text, { kind });
  }

  line(entry, text, { kind = "spoken", segment = null, final = true }) {
    const words = { entry, text, kind, segment, final, heldAs: 0, told: null, length: 0, settled: false };
    this.caller.push(words);
    return words;
  }

  // What the caller says over the agent stands beside it; what is said after it, below.
  place(entry, lane) {
    const over = lane === "caller" && this.beside !== null && this.agentSpeaks();
    const row = over ? this.beside.row + this.beside.rows : this.next;
    entry.style.setProperty("--row", row);
    if (over) {
      this.beside.rows += 1;
      this.beside.entry.style.setProperty("--rows", this.beside.rows);
    } else {
      this.beside = lane === "agent" ? { entry, row, rows: 0 } : null;
    }
    this.next = Math.max(this.next, row + 1);
  }

  remove(words) {
    words.entry.remove();
    this.caller.splice(this.caller.indexOf(words), 1);
    this.segments.delete(words.segment);
  }

  add(lane, name, segment) {
    const entry = make("li", lane);
    const head = make("div", "head");
    this.times.set(entry, [this.now, this.now]);
    head.append(make("b", "", name), ` ${clock(this.now)}`);
    entry.append(head, make("div", "text"));
    this.list.append(entry);
    this.place(entry, lane);
    if (segment !== null) this.segments.set(segment, entry);
    return entry;
  }
}

function write(entry, text) {
  entry.querySelector(".text").textContent = text.trim();
}

function badge(entry, kind, word) {
  if (entry === undefined) return;
  const head = entry.querySelector(".head");
  const was = head.querySelector(".badge");
  const made = make("span", `badge ${kind}`, word);
  if (was === null) head.append(made);
  else was.replaceWith(made);
}
