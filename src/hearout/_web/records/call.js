// One call: its picture, its recording, its questions, who said what when, and its receipts.
import { clean, clock, facts, fill, make, moment, tone, words } from "./make.js";

const LEVELS = {
  nothing: "Not even made in full, as far as is known.",
  synthesised: "Its sound was made. Not shown: that any of it left.",
  played: "It left the agent. Not shown: that anybody was there, or that the network carried it.",
  present: "The caller was in the room meanwhile. Not shown: that packets arrived, or that a loudspeaker was on.",
  reported: "The caller's own program says that it played it. Not shown: that program's honesty, and ears.",
  acknowledged: "The caller said that they got it. Not shown: that it was understood, or who it was.",
};

const VERDICTS = { yes: "is a yes", no: "is a no", choice: "is a choice", "hold-off": "asks for time", aside: "is about something else", unclear: "is no clear answer" };

export class CallView {
  constructor(section) {
    this.section = section;
    this.call = null;
    this.wide = 0;
    new ResizeObserver(() => this.draw()).observe(section);
  }

  part(name) {
    return this.section.querySelector(`#${name}`);
  }

  clear() {
    this.call = null;
    for (const name of ["picture", "recording", "questions", "lanes", "receipts"]) fill(this.part(name), []);
  }

  show(call) {
    this.clear();
    this.call = call;
    this.part("call-title").textContent = clean(call.call) || "(no name)";
    this.part("call-title").dir = "auto";
    const agents = [...new Set(call.utterances.map((one) => one.agent).filter((one) => one !== ""))];
    const gone = call.call.startsWith("~") ? " Its name was removed: this is its pseudonym." : "";
    const by = agents.length > 0 ? `, with ${agents.join(", ")}` : "";
    this.part("call-facts").textContent = `${moment(call.at)} UTC${by}.${gone}`;
    this.recording(call);
    if (call.questions.length > 0) {
      fill(this.part("questions"), [make("h3", "", "Questions"), ...call.questions.map(question)]);
    }
    let row = 0;
    fill(this.part("lanes"), call.said.map((one) => lane(one, (row += 1))));
    fill(this.part("receipts"), call.utterances.map(receipt));
  }

  // The picture is laid out for the width that it has.
  draw() {
    const wide = this.part("picture").clientWidth;
    if (this.call === null || wide === 0) return;
    const before = this.part("picture").querySelector("img");
    if (before !== null && Math.abs(wide - this.wide) < 20) return;
    this.wide = wide;
    const image = make("img");
    image.alt = "What was said in the call, over time. The same stands below in words.";
    image.src = `picture.svg?${new URLSearchParams({ call: this.call.call, wide: Math.floor(wide) - 2 })}`;
    fill(this.part("picture"), [image]);
  }

  recording(call) {
    if (call.recording === undefined) return;
    const [sound, strip, marks] = [make("audio"), make("div"), make("div")];
    [sound.controls, sound.preload] = [true, "metadata"];
    sound.src = `recording?${new URLSearchParams({ call: call.call })}`;
    [strip.id, marks.id] = ["strip", "marks"];
    strip.setAttribute("aria-hidden", "true");
    const known = call.recording.session_at !== null;
    const shift = call.recording.session_at ?? 0;
    const now = make("div", "now");
    const parts = call.said.filter((one) => one.who === "agent").map((one) => {
      const part = make("div");
      const place = () => {
        part.style.left = `${(100 * (one.at + shift)) / sound.duration}%`;
        part.style.width = `${(100 * (one.end - one.at)) / sound.duration}%`;
      };
      sound.addEventListener("loadedmetadata", place);
      const button = make("button", "", `▶ ${clock(one.at + shift)} ${one.id}`);
      button.addEventListener("click", () => {
        sound.currentTime = Math.max(0, one.at + shift - 0.5);
        sound.play();
      });
      marks.append(button);
      return part;
    });
    sound.addEventListener("timeupdate", () => (now.style.left = `${(100 * sound.currentTime) / sound.duration}%`));
    strip.append(...parts, now);
    const lines = [make("h3", "", "Recording"), sound, strip, marks];
    sound.addEventListener("error", () => strip.replaceWith(make("p", "alert", "Your browser cannot play this recording.")));
    if (!known) lines.push(make("p", "quiet", "Marked as if it began with the session: nothing beside the recording says when it did."));
    fill(this.part("recording"), lines);
  }
}

function lane(said, row) {
  const entry = make("li", said.who);
  entry.style.setProperty("--row", row);
  const head = make("div", "head");
  const kind = said.who === "agent" ? said.kind : said.kind === "spoken" ? "" : said.kind;
  head.append(make("b", "", said.who === "agent" ? "Agent" : "Caller"), ` ${clock(said.at)}${kind === "" ? "" : ` ${kind}`}`);
  const note = said.who === "agent" ? said.note : `→ ${said.note}`;
  head.append(make("span", `badge ${said.who === "agent" ? tone(said.note) : "fate"}`, note));
  entry.append(head, words(said.text, "div"));
  return entry;
}

function question(asked) {
  const card = make("article", "card");
  const title = make("h4");
  const taken = asked.revoked === "" ? "" : " (revoked)";
  const chosen = asked.choice === "" ? asked.outcome : `${asked.choice}${taken}`;
  title.append(`${asked.id}: `, make("b", asked.choice === "" || taken ? "bad" : "good", chosen));
  const basis = { given: "said, typed or pressed by the caller", implied: "implied: the caller said nothing", none: "no choice" }[asked.basis];
  const times = asked.attempts.filter((one) => one.asked_at !== null).map((one) => clock(one.asked_at + asked.shift));
  const delay = asked.delay === null ? "" : `, ${asked.delay.toFixed(1)} s after it had been asked`;
  const answers = make("ol");
  fill(answers, asked.held.map((one) => answer(one, asked)));
  const text = words(asked.text ?? "", "p");
  text.classList.add("asked-text");
  card.append(
    title,
    text,
    facts([
      ["basis", basis],
      ["choices", asked.choices.join(", ")],
      ["asked", `${asked.attempts.length}×${times.length > 0 ? `, to its end at ${times.join(", ")}` : ""}`],
      ["decided", `at ${clock(asked.decided_at + asked.shift)}${delay}`],
      ["revoked", asked.revoked === "" ? "" : `${moment(asked.revoked_at)} UTC: ${asked.revoked}`],
      ["wording", asked.question_version],
      ["rules", asked.rules],
    ]),
    asked.held.length === 0 ? make("p", "quiet", "Nothing was said to it.") : answers,
  );
  return card;
}

function answer(given, asked) {
  const entry = make("li");
  const head = make("div", "head");
  const kind = given.kind === "spoken" ? "" : ` ${given.kind}`;
  head.append(make("b", "", "Caller"), ` ${clock(given.at + asked.shift)}${kind}`);
  if (given.decides) head.append(make("span", "badge good", "decides"));
  if (given.early) head.append(make("span", "badge bad", "before the question: counts for nothing"));
  const sure = given.confidence === null ? "" : `, confidence ${given.confidence.toFixed(2)}`;
  const stt = given.stt === "" ? "" : ` ${given.stt}${sure}`;
  const why = make("div", "quiet", `${VERDICTS[given.verdict] ?? given.verdict}: ${given.rule}.${stt}`);
  entry.append(head, words(given.text ?? "", "div"), why);
  return entry;
}

function receipt(one) {
  const card = make("li", "card");
  const title = make("h4");
  const told = one.receipt;
  title.dir = "auto";
  title.append(`${one.id}: `, make("b", tone(one.outcome), one.outcome), told !== null && told.why !== "" ? `, ${told.why}` : "");
  const of = one.length === null ? "" : ` of ${one.length.toFixed(1)}`;
  const main = [
    ["level", one.level === "" ? "" : `${one.level}. ${LEVELS[one.level]}`],
    ["played", `${one.played.toFixed(1)}${of} s`],
  ];
  if (told === null) {
    card.append(title, facts(main));
    return card;
  }
  const seconds = (spans) => spans.map(([begin, end]) => `${clock(begin + one.shift)}–${clock(end + one.shift)}`).join(", ");
  main.push(["cut in by", told.cut_in_by], ["said over it", fates(told.held)]);
  main.push(["answered after", told.gap === null ? "" : `${Math.round(told.gap * 1000)} ms`]);
  for (const who of told.listeners) {
    const parts = [`${who.identity}${who.identity === told.caller ? " (the caller)" : ""}: ${who.level}`];
    parts.push(who.present.length > 0 ? `present ${who.seconds.present.toFixed(1)} s of it` : "never present");
    if (who.reported !== null) parts.push(`reported ${who.reported.toFixed(1)} s`);
    if (who.acknowledged_at !== null) parts.push(`acknowledged at ${clock(who.acknowledged_at + one.shift)}`);
    main.push(["who was there", parts.join(", ")]);
  }
  if (told.listeners.length === 0) main.push(["who was there", "nobody, as far as is known"]);
  const more = make("details");
  more.append(make("summary", "", "Evidence"), facts([
    ["promised", clock(told.asked_at + one.shift)],
    ["attempts", told.attempts.map((each) => `${clock(each.began_at + one.shift)}–${clock(each.ended_at + one.shift)}, ${each.played.toFixed(1)} s from its second ${each.starts_from.toFixed(1)}${each.ended_why === "" ? "" : `; ${each.ended_why}`}`).join(" · ")],
    ["left out", told.holes.map(([begin, end]) => `${begin.toFixed(2)}–${end.toFixed(2)} s`).join(", ")],
    ...told.listeners.map((who) => [`${who.identity} present`, seconds(who.present)]),
    ["sounds", told.sounds === 0 ? "" : `${told.sounds} without words`],
    ["stood still", told.stood_still ? `the agent's event loop, for ${told.stood_still.toFixed(1)} s meanwhile` : ""],
    ["rows", `${one.rows.join(", ")}${one.spooled ? ", written later: the ledger took too long, or was down" : ""}`],
    ["amended", one.amended === null ? "" : `${moment(one.amended)} UTC: more became known of who heard it`],
    ["SHA-256 of the text", make("code", "", told.text_sha256)],
  ], "fine"));
  card.append(title, words(told.text ?? "", "p"), facts(main), more);
  return card;
}

function fates(held) {
  const counts = new Map();
  for (const { fate } of held) counts.set(fate, (counts.get(fate) ?? 0) + 1);
  return [...counts].map(([fate, count]) => `${count} ${fate}`).join(", ");
}
