// Which lines of the caller a fate is of. The floor holds several texts as one where the caller says many things, and of
// a text that the recogniser gives twice only what is new.

const WORD = /[\p{L}\p{M}\p{N}]+/gu;

// The same words, whatever their signs and capitals.
export function alike(one, other) {
  const mine = wordsOf(one);
  const same = mine.length > 0 && mine.join(" ") === wordsOf(other).join(" ");
  return same || one.trim() === other.trim();
}

// A line has its caption (text), and once it is held the floor's own text (told) with its length in characters, and its
// number among those held (heldAs). A fate whose text is cut has the length of the whole.
export function linesOf({ text, kind, fate, length }, lines) {
  const open = lines.filter((one) => !one.settled && one.kind === kind);
  const held = open.filter((one) => one.heldAs > 0).sort((one, other) => one.heldAs - other.heldAs);
  if (fate === "repeated") return held.slice(-1).filter((one) => says(one, text));
  for (const among of [held, open]) {
    const same = among.find((one) => says(one, text));
    const found = same === undefined ? joined(text, length ?? 0, among) : [same];
    if (found.length > 0) return found;
  }
  return held.filter((one) => endsWith(said(one), text)).slice(0, 1);
}

function said(line) {
  return line.told ?? line.text;
}

function says(line, text) {
  return alike(said(line), text) || alike(line.text, text);
}

// The lines whose texts, one after the other, are this one; none, where there are no such.
function joined(text, length, lines) {
  for (let first = 0; first < lines.length; first += 1) {
    const found = [];
    let [rest, left] = [text.trim(), length];
    for (const line of lines.slice(first)) {
      const after = rest === "" ? "" : textAfter(rest, said(line).trim(), { cut: length > 0 });
      if (after === null) continue;
      found.push(line);
      [rest, left] = [after, left - line.length - 1]; // 1: the sign between two
      if (rest === "" && left <= 0) return found;
    }
  }
  return [];
}

// What comes in a text after what was said at its beginning; null where it begins with something else.
function textAfter(text, said, { cut }) {
  if (said === "") return null;
  const after = text.slice(said.length);
  if (text.startsWith(said) && /^(\s|$)/.test(after)) return after.trimStart();
  if (cut && said.startsWith(text)) return "";
  const [mine, words] = [wordsOf(said), [...text.matchAll(WORD)]];
  if (mine.length === 0 || mine.length > words.length) return null;
  if (mine.some((word, number) => word !== words[number][0].toLowerCase())) return null;
  const last = words[mine.length - 1];
  return text.slice(last.index + last[0].length).replace(/^[\p{P}\s]+/u, "");
}

function endsWith(said, text) {
  const words = wordsOf(text);
  return words.length > 0 && wordsOf(said).slice(-words.length).join(" ") === words.join(" ");
}

function wordsOf(text) {
  return (text.match(WORD) ?? []).map((word) => word.toLowerCase());
}
