// The XML that annotations are written in: elements and their text, nothing else of the standard. Attributes, comments and
// the declaration are passed over; a document type, which could define entities, is refused.
// Example: `<a><b>1</b><b>2</b></a>` is an element "a" with two children "b" of texts "1" and "2".

/** An element: its text if it has no children, trimmed. */
export interface Element {
  name: string;
  text: string;
  children: Element[];
}

const TOKEN =
  /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<(\/?)([A-Za-z_][\w.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The root element of a document. @throws {SyntaxError} saying at which character it is no longer of this form */
export function parseXml(document: string): Element {
  const text = document.replace(/^\uFEFF/, "");
  const top: Element = { name: "", text: "", children: [] };
  const open = [top];
  TOKEN.lastIndex = 0;
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const token = TOKEN.exec(text);
    if (token === null) throw new SyntaxError(`XML: expected a tag or text at character ${at}`);
    const [, closing, name, , isEmpty, characters] = token;
    const current = open[open.length - 1];
    if (characters !== undefined) current.text += unescaped(characters, at);
    if (name === undefined) continue;
    if (closing) {
      if (current.name !== name)
        throw new SyntaxError(
          `XML: expected the end of <${current.name}> at character ${at}, got </${name}>`,
        );
      current.text = current.text.trim();
      open.pop();
    } else {
      const element: Element = { name, text: "", children: [] };
      current.children.push(element);
      if (!isEmpty) open.push(element);
    }
  }
  const unclosed = open[open.length - 1];
  if (unclosed !== top) throw new SyntaxError(`XML: the document ends inside <${unclosed.name}>`);
  if (top.children.length !== 1 || top.text.trim() !== "")
    throw new SyntaxError(`XML: expected one root element and no text beside it, got ${top.children.length}`);
  return top.children[0];
}

/** The children of that name. */
export const childrenOf = (element: Element, name: string): Element[] =>
  element.children.filter((child) => child.name === name);

function unescaped(text: string, at: number): string {
  return text.replace(/&([^;]*);?/g, (reference, name: string) => {
    const code = /^#x[\da-fA-F]{1,6}$/.test(name)
      ? Number.parseInt(name.slice(2), 16)
      : Number(name.slice(1));
    const isCode = /^#(x[\da-fA-F]{1,6}|\d{1,7})$/.test(name) && code <= 0x10ffff;
    const character = isCode
      ? String.fromCodePoint(code)
      : Object.hasOwn(ENTITIES, name)
        ? ENTITIES[name]
        : undefined;
    if (character === undefined || !reference.endsWith(";"))
      throw new SyntaxError(
        `XML: expected one of the five entities in the text at character ${at}, got ${reference}`,
      );
    return character;
  });
}
