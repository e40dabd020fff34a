// Receipts, as cards. A receipt that is told again (its answer came, the browser reported) replaces the one before.
import { make } from "./make.js";

const LEVELS = {
  nothing: "Not even made in full, as far as is known.",
  synthesised: "Its sound was made. Not shown: that any of it left.",
  played: "It left the agent. Not shown: that anybody was there, or that the network carried it.",
  present: "You were in the room meanwhile. Not shown: that packets arrived, or that your loudspeaker is on.",
  reported: "Your browser says that it played it. Not shown: that the loudspeaker is on, and ears.",
  acknowledged: "You said that you got it. Not shown: that it was understood.",
};

export class Receipts {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    this.cards = new Map();
  }

  begin() {
    this.list.replaceChildren();
    this.cards.clear();
    this.empty.hidden = false;
  }

  show(receipt) {
    const heading = `${receipt.outcome}${receipt.why ? `: ${receipt.why}` : ""}`;
    const card = this.card(`said ${receipt.id}`, heading, receipt.text, lines(receipt));
    card.dataset.id = receipt.id;
    card.dataset.receipt = JSON.stringify(receipt);
  }

  decided(question) {
    const heading = question.choice ? `your answer: ${question.choice}` : `no answer: ${question.outcome}`;
    const card = this.card(`asked ${question.id} ${question.at}`, heading, question.text, reasons(question));
    card.dataset.decided = JSON.stringify(question);
  }

  card(key, heading, quoted, described) {
    this.empty.hidden = true;
    const card = make("li", "card");
    const title = make("h3");
    title.append(heading, make("span", "", quoted ? ` “${quoted}”` : ""));
    const facts = make("dl");
    for (const [name, value, more] of described) {
      const said = make("dd", "", value);
      if (more !== undefined) said.append(make("span", "more", ` ${more}`));
      facts.append(make("dt", "", name), said);
    }
    card.append(title, facts);
    const before = this.cards.get(key);
    if (before === undefined) this.list.prepend(card);
    else before.replaceWith(card);
    this.cards.set(key, card);
    return card;
  }
}

const HOW = { spoken: "You said it", typed: "You typed it", pressed: "You pressed a key", button: "You pressed a button" };

function* reasons(question) {
  if (question.said) yield [HOW[question.kind], `“${question.said}”`];
  if (question.basis === "implied") yield ["You said nothing", "which is taken for a yes."];
  if (question.rule) yield ["by the rule", question.rule];
  yield ["id", question.id];
}

function* lines(receipt) {
  yield ["left the agent", `${receipt.played.toFixed(1)} of ${receipt.length.toFixed(1)} s`];
  yield ["your browser played", receipt.reported === null ? "nothing that counts" : `${receipt.reported.toFixed(1)} s`];
  if (receipt.acknowledged_at !== null) yield ["acknowledged", `at ${receipt.acknowledged_at.toFixed(1)} s`];
  const words = Object.entries(receipt.held).map(([fate, count]) => `${count} ${fate}`);
  if (words.length > 0) yield ["what you said meanwhile", words.join(", ")];
  if (receipt.gap !== null) yield ["answered after", `${Math.round(receipt.gap * 1000)} ms`];
  yield ["level", `${receipt.level}.`, LEVELS[receipt.level]];
  yield ["id", receipt.name];
}
