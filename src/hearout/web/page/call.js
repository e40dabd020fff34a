// One call: the room, the microphone, the agent's sound, and what the agent tells.
import { Witness } from "./witness.js";

const { Room, RoomEvent, ParticipantKind, Track, createLocalAudioTrack } = window.LivekitClient;

const TOPIC = "hearout"; // of the agent's messages
const AGENT_COMES = 20_000; // ms
const HELLO_AGAIN = 300; // ms; an agent that has just come may not answer yet
const HELLOS = 30;

// Something that a person can do something about: its message is shown as it is.
export class Trouble extends Error {}

export class Call {
  constructor(view, { ended }) {
    this.view = view;
    this.room = new Room({ disconnectOnPageLeave: true });
    this.witness = new Witness(this.room, view);
    this.microphone = null;
    this.wanted = false; // whether this end hung up
    this.joined = false;
    this.known = new Map(); // of each agent's call: the number of the last message
    this.notEnded = ended;
    this.listen();
  }

  async openMicrophone() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Trouble("A browser gives its microphone to a page on this machine (127.0.0.1) or over https only.");
    }
    try {
      this.microphone = await createLocalAudioTrack({
        echoCancellation: true, noiseSuppression: true, autoGainControl: true,
      });
    } catch (error) {
      throw new Trouble(microphoneTrouble(error));
    }
    return this.microphone;
  }

  async join(url, token, microphone) {
    try {
      await this.room.connect(url, token);
    } catch (error) {
      throw new Trouble(`The room cannot be reached (${error.message}).`);
    }
    this.joined = true;
    await this.room.localParticipant.publishTrack(microphone, { source: Track.Source.Microphone });
    this.meter = meter(microphone.mediaStreamTrack, (level) => this.view.level(level));
    for (const participant of this.room.remoteParticipants.values()) this.here(participant);
    this.late = setTimeout(() => {
      if (this.agent() === undefined) {
        this.view.alert("No agent has come. Is its worker running? It says so where it was started.");
      }
    }, AGENT_COMES);
  }

  async leave() {
    this.wanted = true;
    await this.room.disconnect();
    this.close();
  }

  async toggleMicrophone() {
    await (this.microphone.isMuted ? this.microphone.unmute() : this.microphone.mute());
    return this.microphone.isMuted;
  }

  // As LiveKit's clients do; the agent takes it from its caller only.
  async type(text) {
    await this.room.localParticipant.sendText(text, { topic: "lk.chat" });
  }

  agent() {
    return [...this.room.remoteParticipants.values()].find(isAgent);
  }

  close() {
    clearTimeout(this.late);
    this.meter?.();
    this.meter = null;
    this.microphone?.stop();
    this.witness.close();
    if (this.joined) {
      this.joined = false;
      this.notEnded(this.wanted);
    }
  }

  listen() {
    const { room, view } = this;
    room.on(RoomEvent.ParticipantConnected, (participant) => this.here(participant));
    room.on(RoomEvent.ParticipantDisconnected, (participant) => {
      if (isAgent(participant)) view.agentLeft();
    });
    room.on(RoomEvent.ParticipantAttributesChanged, (_, participant) => this.state(participant));
    room.on(RoomEvent.TrackSubscribed, (track, _, participant) => {
      if (track.kind === Track.Kind.Audio && isAgent(participant)) this.witness.listenTo(track);
    });
    room.on(RoomEvent.TrackUnsubscribed, (track) => this.witness.listenNoMore(track));
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => this.sound());
    room.on(RoomEvent.Reconnecting, () => view.status("The connection is lost; trying again ..."));
    room.on(RoomEvent.Reconnected, () => {
      view.joined();
      const agent = this.agent();
      if (agent !== undefined) this.hello(agent, HELLOS);
    });
    room.on(RoomEvent.Disconnected, () => this.close());
    room.on(RoomEvent.DataReceived, (message, participant, _, topic) => {
      if (topic === TOPIC && participant !== undefined && isAgent(participant)) this.told(message);
    });
    room.registerTextStreamHandler("lk.transcription", (reader, { identity }) => this.caption(reader, identity));
  }

  here(participant) {
    if (!isAgent(participant)) return;
    this.view.agentCame();
    this.state(participant);
    this.hello(participant, HELLOS);
  }

  // Say that this caller has a page. The agent answers once its session has begun.
  async hello(agent, tries) {
    try {
      await this.room.localParticipant.performRpc({
        destinationIdentity: agent.identity, method: "hearout.hello", payload: "",
      });
    } catch {
      const still = this.room.remoteParticipants.has(agent.identity);
      if (still && tries > 1) setTimeout(() => this.hello(agent, tries - 1), HELLO_AGAIN);
      else if (still) this.view.status("This agent tells no page about its call: no receipts are shown.");
    }
  }

  state(participant) {
    if (isAgent(participant)) this.view.agentIs(participant.attributes["lk.agent.state"] ?? "");
  }

  sound() {
    this.view.soundBlocked(this.room.canPlaybackAudio ? null : () => this.room.startAudio());
  }

  told(bytes) {
    const message = JSON.parse(new TextDecoder().decode(bytes));
    if (message.n <= (this.known.get(message.call) ?? 0)) return; // told again after a return
    this.known.set(message.call, message.n);
    this.view.told(message);
  }

  async caption(reader, identity) {
    const attributes = reader.info.attributes ?? {};
    const mine = identity === this.room.localParticipant.identity;
    const segment = attributes["lk.segment_id"] ?? reader.info.id;
    let text = "";
    try {
      for await (const piece of reader) {
        text += piece;
        if (!mine) this.view.agentSays(segment, text);
      }
    } catch {
      return; // the agent went away in the middle: what was shown stays
    }
    if (mine) this.view.callerSays(segment, text, attributes["lk.transcription_final"] === "true");
  }
}

function isAgent(participant) {
  return participant.kind === ParticipantKind.AGENT;
}

function microphoneTrouble(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The browser refuses the microphone. Allow it for this page (beside the address), then join again.";
    case "NotFoundError":
      return "This machine has no microphone that the browser can find. Plug one in, then join again.";
    case "NotReadableError":
      return "The microphone is in use by another program. Close that one, then join again.";
    default:
      return `The microphone cannot be used (${error.message}).`;
  }
}

// Tell the level of a microphone ten times a second, from 0 to 1; call what it gives back to stop.
function meter(track, tell) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const loudness = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
    tell(Math.min(1, loudness * 4));
  }, 100);
  return () => {
    clearInterval(timer);
    context.close();
    tell(0);
  };
}
