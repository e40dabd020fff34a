// One call: the room, the microphone, the agent's sound, and what the agent tells.
import { Trouble } from "./microphone.js";
import { Report } from "./report.js";

const { ConnectionState, DisconnectReason, Room, RoomEvent, ParticipantKind, Track } = window.LivekitClient;

const TOPIC = "hearout"; // of the agent's messages
const AGENT_COMES = 20_000; // ms; a new one for one that died takes some 5 s
const AGENT_WAITED = 8_000; // ms; an agent that waited for a return is there at once, a new one for it soon
const HELLO_AGAIN = { soon: 300, later: 2_000 }; // ms; an agent that has just come may not answer yet
const HELLOS_SOON = 30;

const OVER = [ // the other side ended the call: there is none to return to
  DisconnectReason.SERVER_SHUTDOWN, DisconnectReason.PARTICIPANT_REMOVED, DisconnectReason.ROOM_DELETED,
  DisconnectReason.ROOM_CLOSED,
];

export class Call {
  // ended is called with how it ended: "left", "over", "elsewhere" or "lost"; deserted, when a call that was returned to
  // has no agent any more.
  constructor(view, { ended, deserted }) {
    this.view = view;
    this.room = new Room({ disconnectOnPageLeave: true });
    this.report = new Report(this.room);
    this.microphone = null;
    this.wanted = false; // whether this end hung up
    this.joined = this.returned = false;
    this.agents = []; // identities, the newest last: one that died stays for a while beside the next
    this.greeting = null; // the agent that is greeted, as an object of its own for each time
    this.met = this.answered = false; // whether an agent was here, and whether one knows this page
    this.known = new Map(); // of each agent's call: the number of the last message
    [this.notEnded, this.notDeserted] = [ended, deserted];
    this.listen();
  }

  async join({ url, token }, microphone, { returned }) {
    [this.url, this.token, this.microphone, this.returned] = [url, token, microphone, returned];
    try {
      await this.room.connect(url, token);
    } catch (error) {
      throw new Trouble(`The room cannot be reached (${error.message}).`);
    }
    this.joined = true;
    await this.room.localParticipant.publishTrack(microphone.track, { source: Track.Source.Microphone });
    microphone.measure();
    this.expectAgent();
    this.allHere();
  }

  async leave() {
    this.wanted = true;
    await this.room.disconnect();
    this.close("left");
  }

  // The way back into this call while it is connected, else null. LiveKit renews the token at the beginning and every
  // five minutes, for ten.
  way() {
    if (this.room.state !== ConnectionState.Connected) return null;
    return { url: this.url, token: this.room.engine?.token ?? this.token };
  }

  // As LiveKit's clients do; the agent takes it from its caller only.
  async type(text) {
    await this.room.localParticipant.sendText(text, { topic: "lk.chat" });
  }

  close(how) {
    clearTimeout(this.late);
    this.greeting = null;
    this.microphone?.close();
    this.report.close();
    if (this.joined) {
      this.joined = false;
      this.notEnded(this.wanted ? "left" : how);
    }
  }

  listen() {
    const { room, view } = this;
    room.on(RoomEvent.ParticipantConnected, (participant) => this.here(participant));
    room.on(RoomEvent.ParticipantDisconnected, (participant) => this.gone(participant));
    room.on(RoomEvent.ParticipantAttributesChanged, (_, participant) => this.state(participant));
    room.on(RoomEvent.TrackSubscribed, (track, _, participant) => {
      if (track.kind === Track.Kind.Audio && isAgent(participant)) this.report.listenTo(track);
    });
    room.on(RoomEvent.TrackUnsubscribed, (track) => this.report.listenNoMore(track));
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => this.sound());
    for (const event of [RoomEvent.SignalReconnecting, RoomEvent.Reconnecting]) {
      room.on(event, () => view.status("The connection is lost; trying again ..."));
    }
    room.on(RoomEvent.Reconnected, () => {
      view.status("You are in the call.");
      this.microphone.show();
      this.allHere();
    });
    room.on(RoomEvent.Disconnected, (reason) => this.close(how(reason)));
    room.on(RoomEvent.DataReceived, (message, participant, _, topic) => {
      if (topic === TOPIC && participant !== undefined && isAgent(participant)) this.told(message, participant.identity);
    });
    room.registerTextStreamHandler("lk.transcription", (reader, { identity }) => this.caption(reader, identity));
  }

  // The agent

  allHere() {
    for (const participant of this.room.remoteParticipants.values()) this.here(participant);
  }

  here(participant) {
    if (!isAgent(participant)) return;
    const { identity } = participant;
    if (!this.agents.includes(identity)) {
      this.agents.push(identity);
      this.met = true;
      clearTimeout(this.late);
      this.view.agentCame();
    }
    this.state(participant);
    if (identity !== this.agents.at(-1)) return;
    this.greeting = { identity };
    this.hello(this.greeting, 1);
  }

  gone(participant) {
    if (!isAgent(participant)) return;
    this.agents = this.agents.filter((one) => one !== participant.identity);
    this.view.agentLeft(participant.identity, { another: this.agents.length > 0 });
    if (this.agents.length === 0) this.expectAgent();
    else this.allHere();
  }

  expectAgent() {
    clearTimeout(this.late);
    const waited = this.returned && !this.answered;
    this.late = setTimeout(() => {
      if (this.room.state !== ConnectionState.Connected) this.expectAgent(); // nobody can be seen to come
      else if (waited) this.notDeserted();
      else this.view.noAgent(this.met);
    }, waited ? AGENT_WAITED : AGENT_COMES);
  }

  // Say that this caller has a page. The agent answers once its session has begun, however long it takes.
  async hello(greeting, times) {
    try {
      await this.room.localParticipant.performRpc({
        destinationIdentity: greeting.identity, method: "hearout.hello", payload: "",
      });
      if (greeting !== this.greeting) return;
      this.answered = true;
      if (times > HELLOS_SOON) this.view.status("You are in the call.");
    } catch {
      if (greeting !== this.greeting || !this.agents.includes(greeting.identity)) return;
      if (times === HELLOS_SOON) this.view.status("The agent tells this page nothing so far: no receipts are shown.");
      setTimeout(() => {
        if (greeting === this.greeting) this.hello(greeting, times + 1);
      }, times < HELLOS_SOON ? HELLO_AGAIN.soon : HELLO_AGAIN.later);
    }
  }

  state(participant) {
    if (participant.identity !== this.agents.at(-1)) return;
    this.view.agentIs(participant.attributes["lk.agent.state"] ?? "");
  }

  sound() {
    this.view.soundBlocked(this.room.canPlaybackAudio ? null : () => this.room.startAudio());
  }

  told(bytes, identity) {
    const message = JSON.parse(new TextDecoder().decode(bytes));
    if (message.n <= (this.known.get(message.call) ?? 0)) return; // told again after a return
    this.known.set(message.call, message.n);
    if (message.what === "choices") this.view.ask(message, { by: identity, choose: (choice) => this.choose(identity, message.id, choice) });
    else this.view.told(message, identity);
  }

  async choose(destinationIdentity, id, choice) {
    await this.room.localParticipant.performRpc({
      destinationIdentity, method: "hearout.choose", payload: JSON.stringify({ id, choice }),
    });
  }

  async caption(reader, identity) {
    const attributes = reader.info.attributes ?? {};
    const mine = identity === this.room.localParticipant.identity;
    const sender = this.room.remoteParticipants.get(identity);
    const counts = mine || (sender !== undefined && isAgent(sender)); // of others it is read to its end, and not shown
    const segment = attributes["lk.segment_id"] ?? reader.info.id;
    let text = "";
    try {
      for await (const piece of reader) {
        if (!counts) continue;
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

function how(reason) {
  if (OVER.includes(reason)) return "over";
  return reason === DisconnectReason.DUPLICATE_IDENTITY ? "elsewhere" : "lost";
}
