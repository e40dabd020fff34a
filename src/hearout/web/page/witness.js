// The witness: what this browser really rendered of the agent's sound. It counts what the browser counts, and says when
// the sound was off; it cannot know whether the loudspeaker is on.

const BUFFER = { least: 0.02, usual: 0.1, most: 0.5 }; // seconds that sound waits in the browser before it is played

export class Witness {
  constructor(room, view) {
    this.room = room;
    this.view = view; // shows what the agent asks for
    this.track = null;
    this.element = null;
    this.begun = new Map(); // by the utterance's id
    this.watch = () => this.look();
    document.addEventListener("visibilitychange", this.watch);
    const methods = {
      "hearout.alive": async () => "",
      "hearout.begin": ({ id }) => this.begin(id),
      "hearout.end": ({ id }) => this.end(id),
      "hearout.acknowledge": ({ id, label }, asker) => this.ask(id, label, asker),
    };
    for (const [name, answer] of Object.entries(methods)) {
      room.registerRpcMethod(name, async ({ callerIdentity, payload }) => {
        if (!this.isAgent(callerIdentity)) throw new Error("only an agent may ask");
        return answer(payload === "" ? {} : JSON.parse(payload), callerIdentity);
      });
    }
  }

  isAgent(identity) {
    return this.room.remoteParticipants.get(identity)?.kind === window.LivekitClient.ParticipantKind.AGENT;
  }

  listenTo(track) {
    this.track = track;
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

  async begin(id) {
    for (let waits = 0; this.track === null && waits < 20; waits += 1) await waited(0.05);
    const { track } = this;
    if (track === null) throw new Error("the agent's sound is not here");
    // The mark comes sooner than the sound: that waits in the browser's jitter buffer.
    await waited(bufferLength((await counted(track)).delay));
    this.begun.set(id, { track, ...(await counted(track)), ...this.now() });
    return "";
  }

  async end(id) {
    if (!this.begun.has(id)) throw new Error("its begin was not marked here");
    const { track } = this.begun.get(id);
    if (track !== this.track) throw new Error("the agent's sound came over another track meanwhile");
    await waited(bufferLength((await counted(track)).delay));
    const now = await counted(track);
    this.look();
    const seen = this.begun.get(id);
    seen.paused ||= this.element.readyState < HTMLMediaElement.HAVE_CURRENT_DATA; // at the begin it may not be up yet
    this.begun.delete(id);
    return JSON.stringify({
      received: now.received - seen.received,
      concealed: now.concealed - seen.concealed,
      allowed: seen.allowed,
      muted: seen.muted,
      paused: seen.paused,
      hidden: seen.hidden,
    });
  }

  async ask(id, label, destinationIdentity) {
    this.view.ask(id, label, () => this.room.localParticipant.performRpc({
      destinationIdentity, method: "hearout.acknowledged", payload: JSON.stringify({ id }),
    }));
    return "";
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
