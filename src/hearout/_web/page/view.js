// What the page shows. It decides nothing: call.js tells it what is so.
import { Lanes } from "./lanes.js";
import { clock, make } from "./make.js";
import { Receipts } from "./receipts.js";

export class View {
  constructor(page) {
    const found = (id) => page.getElementById(id);
    this.joinButton = found("join");
    this.muteButton = found("mute");
    this.levelLabel = found("level");
    [this.typeForm, this.typeField] = [found("type"), found("typed")];
    this.statusLine = found("status");
    this.alerts = found("alerts");
    this.asked = found("acknowledgements");
    this.holder = found("holder");
    this.playing = found("playing");
    this.lanes = new Lanes(found("lanes"), {
      agentSpeaks: () => this.spoken() !== undefined || this.agentState === "speaking",
    });
    this.receipts = new Receipts(found("receipts"), found("no-receipts"));
    this.picture = found("picture");
    [this.decided, this.moments] = [[], []]; // of the call: the questions that were decided, and the cuts
    this.forget();
    setInterval(() => this.tick(), 250);
  }

  forget() {
    this.inCall = false;
    this.agentState = null; // LiveKit's; null while no agent is here
    this.expected = true; // whether one may come
    this.hears = null; // the agent that hears the caller talk now
    this.speech = new Map(); // protected speech that is owed, by id: {by, length, began, playing}
  }

  // The buttons

  onJoin(does) {
    this.joinButton.addEventListener("click", does);
  }

  onMute(does) {
    this.muteButton.addEventListener("click", does);
  }

  onType(does) {
    this.typeForm.addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = this.typeField.value.trim();
      if (text === "") return;
      if (!this.agentState) { // its session has not begun: nobody would read it
        this.status("The agent is not there yet: send it again in a moment.");
        return;
      }
      this.typeField.value = "";
      const segment = this.lanes.callerTyped(text);
      try {
        await does(text);
      } catch {
        this.lanes.mark(segment, "not sent");
      }
    });
  }

  joining() {
    this.forget();
    this.joinButton.disabled = true;
    this.joinButton.textContent = "Joining ...";
    this.status("Allow the microphone if the browser asks for it.");
    this.lanes.begin();
    this.receipts.begin();
    this.picture.hidden = true;
    [this.decided, this.moments] = [[], []];
    this.asked.replaceChildren();
  }

  joined() {
    this.inCall = true;
    this.joinButton.disabled = false;
    this.joinButton.textContent = "Hang up";
    this.joinButton.classList.remove("main");
    this.muteButton.hidden = this.levelLabel.hidden = this.typeForm.hidden = false;
    this.status("You are in the call.");
    this.floor();
  }

  left(label) {
    this.forget();
    this.joinButton.disabled = false;
    this.joinButton.textContent = label;
    this.joinButton.classList.add("main");
    this.muteButton.hidden = this.levelLabel.hidden = this.typeForm.hidden = true;
    this.status("Not joined.");
    this.asked.replaceChildren();
    for (const kind of ["sound", "microphone", "agent"]) this.tell(kind, null);
    this.floor();
  }

  // What the call was, for its picture: null where nothing was said.
  whole() {
    const said = this.lanes.began === null ? [] : this.lanes.drawn(this.decided);
    const wide = Math.max(this.lanes.list.clientWidth, 280);
    return said.length === 0 ? null : { wide, said, moments: this.moments };
  }

  draw(svg) {
    this.picture.querySelector("img").src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    this.picture.hidden = false;
  }

  muted(is) {
    this.muteButton.setAttribute("aria-pressed", String(is));
    this.muteButton.textContent = is ? "Microphone is muted: unmute" : "Mute microphone";
  }

  level(value) {
    this.levelLabel.querySelector("meter").value = value;
  }

  status(text) {
    this.statusLine.textContent = text;
  }

  // What a person must know, or do

  alert(text, kind = "trouble") {
    const made = make("div", `alert ${kind}`, text);
    this.alerts.append(made);
    return made;
  }

  // The one alert of a kind; null where there is nothing to tell any more.
  tell(kind, text) {
    this.alerts.querySelector(`.${kind}`)?.remove();
    return text === null ? null : this.alert(text, kind);
  }

  clearAlerts() {
    this.alerts.replaceChildren();
  }

  soundBlocked(unblock) {
    const text = unblock === null ? null : "Your browser blocks the sound: you do not hear the agent.";
    this.tell("sound", text)?.append(button("Play the sound", unblock));
  }

  // What may be answered or acknowledged by a button, until it is. An agent that asks again, or another in its place,
  // has its buttons instead of those before.
  ask({ id, text, choices }, { by, choose }) {
    const before = this.askedOf(id);
    const made = make("div", "asked");
    [made.dataset.id, made.dataset.by] = [id, by];
    const said = make("span", "", text || "Please confirm what the agent said.");
    said.setAttribute("role", "status");
    const buttons = make("div", "buttons");
    let pressed = false;
    for (const { choice, label } of choices) {
      buttons.append(button(label, async () => {
        if (pressed) return; // the agent says what becomes of it
        pressed = true;
        try {
          await choose(choice);
        } catch {
          pressed = false;
          said.textContent = "This did not reach the agent. Please press again.";
        }
      }));
    }
    made.append(said, buttons);
    const free = before === null ? document.activeElement !== this.typeField : before.contains(document.activeElement);
    if (before === null) this.asked.append(made);
    else before.replaceWith(made);
    // whoever is typing would press it with the next key; of several none may be pressed by accident
    if (free && choices.length === 1) made.querySelector("button").focus();
  }

  askedOf(id) {
    return this.asked.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  // It is asked again: until it has been, nothing answers it.
  asks({ id, why }) {
    const made = this.askedOf(id);
    if (made === null) return;
    for (const one of made.querySelectorAll("button")) one.disabled = true;
    made.querySelector("span").textContent = why ? `Not understood (${why}): you are asked again.` : "You are asked again.";
  }

  // The agent

  agentCame() {
    [this.agentState, this.expected] = ["", true];
    this.tell("agent", null);
    this.floor();
  }

  // What was this agent's goes with it; another may be here in its place already.
  agentLeft(identity, { another }) {
    if (!another) this.agentState = null;
    if (this.hears === identity) this.hears = null;
    for (const [id, { by }] of this.speech) {
      if (by === identity) this.speech.delete(id);
    }
    for (const made of [...this.asked.children]) {
      if (made.dataset.by === identity) made.remove();
    }
    this.floor();
  }

  // None has come for a while.
  noAgent(before) {
    this.expected = false;
    this.tell("agent", before
      ? "The agent has left, and no other has come. Hang up and join again: that begins a new call."
      : "No agent has come. Is its worker running? It says so where it was started.");
    this.floor();
  }

  agentIs(state) {
    this.agentState = state;
    this.floor();
  }

  agentSays(segment, text) {
    const fresh = !this.lanes.segments.has(segment);
    this.lanes.agentSays(segment, text);
    if (fresh && this.spoken() !== undefined) this.lanes.mark(segment, "protected");
  }

  callerSays(segment, text, final) {
    this.lanes.callerSays(segment, text, final);
  }

  told(message, by) {
    const speech = this.speech.get(message.id);
    switch (message.what) {
      case "owed":
        this.speech.set(message.id, { by, length: message.expected, began: null, playing: false });
        break;
      case "made":
        if (speech !== undefined) speech.length = Math.max(speech.length ?? 0, message.seconds);
        break;
      case "playing":
        if (speech !== undefined) [speech.playing, speech.began] = [true, performance.now()];
        if (speech !== undefined) this.lanes.protectNewest(); // whose caption may have come before this
        break;
      case "played":
        if (speech !== undefined) speech.playing = false;
        break;
      case "ended":
        this.speech.delete(message.id);
        break;
      case "talks":
        this.hears = by;
        break;
      case "silent":
        if (this.hears === by) this.hears = null;
        break;
      case "held":
        this.lanes.held(message);
        break;
      case "fate":
        this.lanes.fate(message);
        break;
      case "asks":
        this.asks(message);
        break;
      case "acknowledged":
        this.askedOf(message.id)?.remove();
        break;
      case "decided":
        this.askedOf(message.id)?.remove();
        this.receipts.decided(message);
        this.decided.push(message);
        break;
      case "receipt":
        if (message.outcome === "cut in" && !this.receipts.cards.has(`said ${message.id}`)) {
          this.moments.push({ at: this.lanes.now, text: "cut in" });
        }
        this.receipts.show(message);
        break;
    }
    this.floor();
  }

  // The floor

  spoken() {
    return [...this.speech.values()].find((one) => one.playing);
  }

  floor() {
    const [who, text] = this.held();
    if (this.holder.textContent !== text) this.holder.textContent = text; // said aloud by a screen reader when it changes
    this.holder.className = who;
    this.tick();
  }

  held() {
    if (!this.inCall) return ["", "Nobody is in the call."];
    if (this.agentState === null) return ["", this.expected ? "Waiting for the agent." : "No agent is here."];
    const over = this.hears !== null ? " You speak over it: you are heard." : "";
    if (this.spoken() !== undefined) return ["agent", `The agent speaks, and will finish.${over}`];
    if (this.agentState === "speaking") return ["agent", `The agent speaks.${over}`];
    if (this.hears !== null) return ["caller", "You speak."];
    if (this.speech.size > 0) return ["agent", "The agent is about to speak."];
    if (this.agentState === "thinking") return ["agent", "The agent thinks."];
    if (this.agentState === "" || this.agentState === "initializing") return ["", "The agent is coming."];
    return ["caller", "The floor is yours."];
  }

  tick() {
    const one = this.spoken();
    this.playing.hidden = one === undefined;
    if (one === undefined) return;
    const [seconds, length] = [(performance.now() - one.began) / 1000, one.length ?? 0];
    const [bar, text] = [this.playing.querySelector("progress"), this.playing.querySelector("span")];
    bar.value = length > 0 ? Math.min(1, seconds / length) : 0;
    text.textContent = length > 0 ? `${clock(Math.min(seconds, length))} of ${clock(length)}` : clock(seconds);
  }
}

function button(label, does) {
  const made = make("button", "main", label);
  made.addEventListener("click", does);
  return made;
}
