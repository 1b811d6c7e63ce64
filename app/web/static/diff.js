// What changed between two texts, word by word.

import { el } from "./dom.js";

const MOST_WORDS = 600; // the table below grows with the square

/** Pairs of a kind ("same", "old", "new") and the words of it, by the longest common subsequence. */
export function changes(before, after) {
  const [a, b] = [before.split(/(\s+)/), after.split(/(\s+)/)];
  if (a.length > MOST_WORDS || b.length > MOST_WORDS) return [["old", before], ["new", after]];
  const longest = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const found = [];
  const add = (kind, word) => {
    if (found.at(-1)?.[0] === kind) found.at(-1)[1] += word;
    else found.push([kind, word]);
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add("same", a[i++]); j++; }
    else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1])) add("old", a[i++]);
    else add("new", b[j++]);
  }
  return found;
}

const TAGS = { same: "span", old: "del", new: "ins" };

export const difference = (before, after) =>
  el("p", { class: "told", dir: "auto" }, changes(before, after).map(([kind, words]) => el(TAGS[kind], {}, words)));
