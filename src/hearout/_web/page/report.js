// The report: what this browser really rendered of the agent's sound. It counts what the browser counts, and says when
// the sound was off; it cannot know whether the loudspeaker is on.

const LOOKS = 100; // ms from one look at the counters to the next
const KEPT = 5_000; // ms for which they are remembered: a mark may tell of a moment that is over
const BUFFER = { least: 0.02, usual: 0.1, most: 0.5 }; // seconds that sound waits in the browser before it is played

export class Report {
  constructor(room) {
    this.room = room;
    this.track = null;
    this.element = null;
    this.begun = new Map(); // by the utterance's id
    this.counts = []; // what the browser counted on the track, and when
    this.timer = setInterval(() => this.count(), LOOKS);
    this.watch = () => this.look();
    document.addEventListener("visibilitychange", this.watch);
    const methods = {
      "hearout.alive": async () => "",
      "hearout.begin": ({ id, ago }) => this.begin(id, ago),
      "hearout.end": ({ id, ago }) => this.end(id, ago),
    };
    for (const [name, answer] of Object.entries(methods)) {
      room.registerRpcMethod(name, async ({ callerIdentity, payload }) => {
        if (!this.isAgent(callerIdentity)) throw new Error("only an agent may ask");
        return answer(payload === "" ? {} : JSON.parse(payload));
      });
    }
  }

  isAgent(identity) {
    return this.room.remoteParticipants.get(identity)?.kind === window.LivekitClient.ParticipantKind.AGENT;
  }

  listenTo(track) {
    this.track = track;
    this.counts = [];
    this.element = track.attach();
    this.element.id = "sound";
    for (const change of ["volumechange", "pause", "play", "emptied"]) this.element.addEventListener(change, this.watch);
    document.body.append(this.element);
  }

  listenNoMore(track) {
    for (const element of track.detach()) element.remove();
    if (track === this.track) this.track = this.element = null;
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.watch);
    this.element?.remove();
    this.begun.clear();
  }

  // What may have been off for a part of what is being watched counts as off for all of it.
  look() {
    for (const seen of this.begun.values()) {
      const now = this.now();
      seen.allowed &&= now.allowed;
      for (const name of ["muted", "paused", "hidden"]) seen[name] ||= now[name];
    }
  }

  now() {
    const { element } = this;
    return {
      allowed: this.room.canPlaybackAudio,
      muted: element === null || element.muted || element.volume === 0,
      paused: element === null || element.paused,
      hidden: document.hidden,
    };
  }

  async count() {
    const { track } = this;
    if (track === null) return;
    const counts = { at: performance.now(), ...(await counted(track)) };
    if (track !== this.track) return;
    this.counts.push(counts);
    while (this.counts[0].at < counts.at - KEPT) this.counts.shift();
  }

  // What had been counted when the sound of a moment, so many seconds ago, was played: it waits in the jitter buffer first.
  async countedAt(ago) {
    const asked = performance.now();
    await this.count();
    const at = asked - 1000 * Math.min(5, Math.max(0, Number(ago) || 0)) + 1000 * bufferLength(this.counts.at(-1).delay);
    while (performance.now() < at) await waited((at - performance.now()) / 1000);
    await this.count();
    const after = Math.max(0, this.counts.findIndex((one) => one.at >= at));
    const [first, second] = [this.counts[Math.max(0, after - 1)], this.counts[after]];
    const share = second.at > first.at ? Math.min(1, Math.max(0, (at - first.at) / (second.at - first.at))) : 1;
    const between = (name) => Math.round(first[name] + share * (second[name] - first[name]));
    return { received: between("received"), concealed: between("concealed") };
  }

  async begin(id, ago) {
    const asked = performance.now();
    for (let waits = 0; this.track === null && waits < 20; waits += 1) await waited(0.05);
    if (this.track === null) throw new Error("the agent's sound is not here");
    const { track } = this;
    const flags = this.now();
    const counts = await this.countedAt(ago + (performance.now() - asked) / 1000);
    this.begun.set(id, { track, ...counts, ...flags });
    return "";
  }

  async end(id, ago) {
    if (!this.begun.has(id)) throw new Error("its begin was not marked here");
    const now = await this.countedAt(ago);
    this.look();
    const seen = this.begun.get(id);
    this.begun.delete(id);
    if (seen.track !== this.track) throw new Error("the agent's sound came over another track meanwhile");
    seen.paused ||= this.element.readyState < HTMLMediaElement.HAVE_CURRENT_DATA; // at the begin it may not be up yet
    return JSON.stringify({
      received: now.received - seen.received,
      concealed: Math.min(now.concealed - seen.concealed, now.received - seen.received),
      allowed: seen.allowed,
      muted: seen.muted,
      paused: seen.paused,
      hidden: seen.hidden,
    });
  }
}

async function counted(track) {
  for (const one of (await track.receiver.getStats()).values()) {
    if (one.type === "inbound-rtp" && one.kind === "audio") {
      return {
        received: one.totalSamplesReceived,
        concealed: one.concealedSamples,
        delay: { seconds: one.jitterBufferDelay, samples: one.jitterBufferEmittedCount },
      };
    }
  }
  return { received: 0, concealed: 0, delay: { seconds: 0, samples: 0 } }; // no packet has come yet
}

function bufferLength({ seconds, samples }) {
  const mean = samples > 0 ? seconds / samples : BUFFER.usual;
  return Math.min(BUFFER.most, Math.max(BUFFER.least, mean));
}

function waited(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
