// The page: a button to join, and what it shows. The call itself is in call.js, what is shown in view.js.
import { Call } from "./call.js";
import { Microphone, Trouble } from "./microphone.js";
import { View } from "./view.js";

const KEPT = "hearout.call"; // this tab's own way back into its call; gone when the tab is closed
const WAITS = 20_000; // ms for which an agent waits for its caller, where its policy says nothing else
const KEEPS = 1_000; // ms from one look at the way back to the next, while the call is on

const AFTER = {
  left: "Not joined.",
  over: "The call is over.",
  elsewhere: "The call goes on in another tab.",
  lost: "The connection is lost. Return at once: the agent waits for a short while, and says what you missed.",
  late: "The connection was lost. Joining begins a new call.",
};

const view = new View(document);
let call = null;
let joining = false;

function kept() {
  const found = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  return found !== null && Date.now() < found.until ? found : null;
}

function keep(way) {
  if (way !== null) sessionStorage.setItem(KEPT, JSON.stringify({ ...way, until: Date.now() + WAITS }));
}

function forget() {
  sessionStorage.removeItem(KEPT);
}

async function invitation() {
  const answer = await fetch("token", { method: "POST" }).catch(() => {
    throw new Trouble("The page's server does not answer. Is it still running?");
  });
  const given = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(given.error ?? `The page's server refused the call (${answer.status}).`);
  return { url: given.url, token: given.token };
}

async function join() {
  joining = true;
  view.clearAlerts();
  view.joining();
  const made = new Call(view, { ended, deserted });
  let microphone = null;
  try {
    microphone = await Microphone.open(view);
    const back = kept();
    await made.join(back ?? await invitation(), microphone, { returned: back !== null });
    call = made;
    keep(call.way());
    view.joined();
    microphone.show();
  } catch (error) {
    microphone?.close();
    await made.leave();
    if (!(error instanceof Trouble)) forget();
    view.left(label());
    view.alert(error instanceof Trouble ? error.message : `Joining failed: ${error.message}`);
  } finally {
    joining = false;
  }
}

// The page's server draws what this page saw. Without it nothing is missing: the words are above.
async function draw() {
  const whole = view.whole();
  if (whole === null) return;
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("picture.svg", { method: "POST", headers, body: JSON.stringify(whole) }).catch(() => null);
  if (answer?.ok && call === null) view.draw(await answer.text());
}

async function hangUp() {
  forget();
  await call.leave();
}

// Nobody waits in the call that was returned to.
async function deserted() {
  await hangUp();
  await join();
  if (call !== null) view.status("The agent did not wait any longer: this is a new call.");
}

function ended(how) {
  call = null;
  if (how === "lost") keep(kept()); // from now on
  else forget();
  const later = how === "lost" && kept() === null ? "late" : how;
  view.left(label());
  view.status(AFTER[later]);
  draw();
  setTimeout(() => {
    if (call === null && !joining && later === "lost" && kept() === null) {
      view.left(label());
      view.status(AFTER.late);
    }
  }, WAITS + 100);
}

function label() {
  return kept() === null ? "Join with microphone" : "Return to the call";
}

setInterval(() => {
  if (call !== null) keep(call.way());
}, KEEPS);
view.onJoin(() => (call === null ? join() : hangUp()));
view.onMute(() => call?.microphone.toggle());
view.onType((text) => call.type(text));
view.left(label());
// for whoever looks into it with the browser's tools
window.hearout = {
  get call() { return call; },
  get room() { return call?.room ?? null; },
};
