/** The requirements of an RFC in its plain-text form: sentences with MUST, SHALL or REQUIRED (RFC 2119). */

const HEADING = /^((?:\d+|Appendix [A-Z]|[A-Z])(?:\.\d+)*)\.? {1,3}(\S.*)$/;
const KEYWORD = /\b(?:MUST|SHALL|REQUIRED)\b/;
/** Running heads and feet: "Rescorla  Standards Track  [Page 12]" and "RFC 8446  TLS  August 2018". */
const FOOT = /\[Page \d+\]\s*$/;
const HEAD = /^RFC \d+ {2,}\S.* {2,}\w+ \d{4}\s*$/;

/** Straight quotes, single blanks, no case: the form in which words are compared. */
export function normalise(text) {
  return text
    .replace(/[“”]/g, '"')
    .replace(/[’‘]/g, "'")
    .replace(/["`]/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();
}

/** `text`: a whole RFC. Gives { section, sentence } in order. */
export function requirementsOf(text) {
  const requirements = [];
  let section = '';
  let paragraph = [];
  const finish = () => {
    const joined = paragraph.join(' ').replace(/(\w)- (?=\w)/g, '$1-');
    paragraph = [];
    if (section === '') return;
    for (const sentence of sentencesOf(joined)) {
      if (KEYWORD.test(sentence)) requirements.push({ section, sentence });
    }
  };
  let afterPageBreak = false;
  for (const raw of text.split('\n')) {
    const line = raw.replace(/\f/g, '').trimEnd();
    if (FOOT.test(line) || HEAD.test(line)) {
      afterPageBreak = true;
      continue;
    }
    if (line === '') {
      // A page break falls within sentences too: a paragraph goes on when it has not ended.
      if (!afterPageBreak && !(paragraph.length > 0 && isBreak(raw))) finish();
      continue;
    }
    const heading = HEADING.exec(line);
    // A table of contents has the same lines, with dots or page numbers at their end.
    if (heading !== null && !/\.{3,}|\s\d+$/.test(line)) {
      finish();
      section = heading[1].replace('Appendix ', '');
      afterPageBreak = false;
      continue;
    }
    if (afterPageBreak && paragraph.length > 0 && /[.:]$/.test(paragraph.at(-1)) && /^ {3}\S/.test(line)) finish();
    // The next item of a list.
    if (/^ {3,}(?:[-*o]|\d+\.) /.test(line)) finish();
    afterPageBreak = false;
    paragraph.push(line.trim().replace(/^[-*o] +/, ''));
  }
  finish();
  return requirements;
}

function isBreak(raw) {
  return raw.includes('\f');
}

function sentencesOf(paragraph) {
  return paragraph
    .split(/(?<=[.!?][")]?) +(?=["(A-Z])/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}
