// The page: a button to join, and what it shows. The call itself is in call.js, what is shown in view.js.
import { Call, Trouble } from "./call.js";
import { View } from "./view.js";

const KEPT = "hearout.call"; // this tab's own way back into its call; gone when the tab is closed

const view = new View(document);
let call = null;

function kept() {
  const found = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  return found !== null && Date.now() < found.until ? found : null;
}

async function invitation() {
  const found = kept();
  if (found !== null) return found;
  const answer = await fetch("token", { method: "POST" }).catch(() => {
    throw new Trouble("The page's server does not answer. Is it still running?");
  });
  const given = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Trouble(given.error ?? `The page's server refused the call (${answer.status}).`);
  const made = { url: given.url, token: given.token, until: Date.now() + given.seconds * 1000 };
  sessionStorage.setItem(KEPT, JSON.stringify(made));
  return made;
}

async function join() {
  view.clearAlerts();
  view.joining();
  const made = new Call(view, { ended });
  try {
    const microphone = await made.openMicrophone();
    const { url, token } = await invitation();
    await made.join(url, token, microphone);
    call = made;
    view.joined();
  } catch (error) {
    await made.leave();
    if (!(error instanceof Trouble)) sessionStorage.removeItem(KEPT);
    view.left(label());
    view.alert(error instanceof Trouble ? error.message : `Joining failed: ${error.message}`);
  }
}

async function hangUp() {
  sessionStorage.removeItem(KEPT);
  await call.leave();
}

function ended(wanted) {
  call = null;
  view.left(label());
  if (!wanted) view.status("The connection is lost. Return within a minute, and the agent says what you missed.");
}

function label() {
  return kept() === null ? "Join with microphone" : "Return to the call";
}

view.onJoin(() => (call === null ? join() : hangUp()));
view.onMute(async () => {
  if (call !== null) view.muted(await call.toggleMicrophone());
});
view.onType((text) => call.type(text));
view.left(label());
window.hearout = { get room() { return call?.room ?? null; } }; // for whoever looks into it with the browser's tools
