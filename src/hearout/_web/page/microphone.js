// The microphone of a call: opened, muted, lost, and how loud it is.
const { TrackEvent, createLocalAudioTrack } = window.LivekitClient;

const UNHEARD = "the agent does not hear you. You can type instead.";

// Something that a person can do something about: its message is shown as it is.
export class Trouble extends Error {}

export class Microphone {
  static async open(view) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Trouble("A browser gives its microphone to a page on this machine (127.0.0.1) or over https only.");
    }
    try {
      const track = await createLocalAudioTrack({
        echoCancellation: true, noiseSuppression: true, autoGainControl: true,
      });
      return new Microphone(track, view);
    } catch (error) {
      throw new Trouble(trouble(error, "join again"));
    }
  }

  constructor(track, view) {
    [this.track, this.view] = [track, view];
    this.lost = false;
    this.measured = null;
    track.on(TrackEvent.Ended, () => { this.lost = true; }); // LiveKit tries another one: Restarted; else it mutes: Muted
    track.on(TrackEvent.Restarted, () => this.found());
    track.on(TrackEvent.Muted, () => this.show());
    track.on(TrackEvent.Unmuted, () => this.show());
    track.on(TrackEvent.UpstreamPaused, () => this.view.tell("microphone", `The microphone gives no sound: ${UNHEARD}`));
    track.on(TrackEvent.UpstreamResumed, () => this.view.tell("microphone", null));
  }

  // Whether the agent gets its sound, as it is and not as it was asked for.
  show() {
    this.view.muted(this.track.isMuted);
    if (this.lost && this.track.isMuted) {
      this.view.tell("microphone", `The microphone is lost: ${UNHEARD} To be heard again, plug one in and unmute.`);
    }
  }

  found() {
    this.lost = false;
    this.view.tell("microphone", null);
    if (this.measured !== null) this.measure();
  }

  async toggle() {
    if (!this.track.isMuted) return this.track.mute();
    try {
      await this.track.unmute(); // one that was lost is opened again
    } catch (error) {
      this.view.tell("microphone", trouble(error, "unmute again"));
    }
  }

  measure() {
    this.measured?.();
    this.measured = meter(this.track.mediaStreamTrack, (level) => this.view.level(level));
  }

  close() {
    this.measured?.();
    this.measured = null;
    this.track.stop();
  }
}

function trouble(error, then) {
  switch (error.name) {
    case "NotAllowedError":
      return `The browser refuses the microphone. Allow it for this page (beside the address), then ${then}.`;
    case "NotFoundError":
      return `This machine has no microphone that the browser can find. Plug one in, then ${then}.`;
    case "NotReadableError":
      return `The microphone is in use by another program. Close that one, then ${then}.`;
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
