import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseXml } from "../../src/data/annotation-xml.js";
import { dataFile } from "../../src/data/outside.js";
import { classesOf, parseAnnotation, vocImages } from "../../src/data/voc.js";

// As the official files are: a part with a box of its own, a comment, a declaration, no <difficult> in the second object.
const ANNOTATION = `<?xml version="1.0" encoding="utf-8"?>
<!-- made by hand --><annotation verified="yes">
  <size><width>500</width><height>375</height><depth>3</depth></size>
  <object><name>person</name><difficult>1</difficult>
    <bndbox><xmax>500</xmax><xmin>1</xmin><ymin>2.5</ymin><ymax>375</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>
  </object>
  <object><name>cat &amp; dog</name><bndbox><xmin>4</xmin><ymin>5</ymin><xmax>4</xmax><ymax>6</ymax></bndbox></object>
</annotation>
`;

describe("annotations", () => {
  it("are read as marked", () => {
    expect(parseAnnotation(ANNOTATION)).toEqual({
      width: 500,
      height: 375,
      objects: [
        { name: "person", box: [1, 2.5, 500, 375], isDifficult: true },
        { name: "cat & dog", box: [4, 5, 4, 6], isDifficult: false },
      ],
    });
  });

  it("of another form are refused, saying what they lack", () => {
    const changed = (from: string, to: string) => () => parseAnnotation(ANNOTATION.replace(from, to));
    expect(changed("<width>500", "<width>wide")).toThrow('expected a number in <width>, got "wide"');
    expect(changed("<xmin>1<", "<xmin>501<")).toThrow(
      "expected a box with an inside, got 501,2.5,500,375 of person",
    );
    expect(changed("<ymax>6</ymax>", "")).toThrow("expected one <ymax> in <bndbox>, got 0");
    expect(changed("</size>", "")).toThrow(/expected the end of <size> at character \d+, got <\/annotation>/);
    expect(changed("</annotation>", "")).toThrow("the document ends inside <annotation>");
    expect(changed("&amp;", "&cat;")).toThrow("got &cat;");
    expect(changed("<!-- made", "<!DOCTYPE x> <!-- made")).toThrow("expected a tag or text at character 39");
    expect(() => parseAnnotation("<a/>")).toThrow("expected <annotation>, got <a>");
    expect(() => parseXml("<a/><b/>")).toThrow("expected one root element");
    expect(parseXml("<a x='1' y=\"2\">&#x41;&#66;<b/></a>")).toEqual({
      name: "a",
      text: "AB",
      children: [{ name: "b", text: "", children: [] }],
    });
  });
});

describe("a VOCdevkit", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bitdiet-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const write = (path: string, content: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  };

  it("joins years; one year's folder will do", () => {
    for (const year of ["VOC2007", "VOC2012"]) {
      write(`${year}/ImageSets/Main/trainval.txt`, "a\nb -1\n");
      for (const name of ["a", "b"]) write(`${year}/Annotations/${name}.xml`, ANNOTATION);
    }
    write("VOC2012/JPEGImages/b.jpg", "picture");
    write("VOC2007/ImageSets/Main/test.txt", "a\r\n");
    const images = vocImages(folder, "trainval");
    expect(images.map(({ id }) => id)).toEqual(["VOC2007/a", "VOC2007/b", "VOC2012/a", "VOC2012/b"]);
    expect(new TextDecoder().decode(images[3].read())).toBe("picture");
    expect(() => images[0].read()).toThrow("VOC2007/JPEGImages/a.jpg is missing");
    expect(vocImages(join(folder, "VOC2007"), "test").map(({ id, width }) => [id, width])).toEqual([
      ["a", 500],
    ]);
    expect(() => vocImages(folder, "val")).toThrow("expected VOC2007/ImageSets/Main/val.txt");
    write("VOC2007/Annotations/a.xml", "<annotation>");
    expect(() => vocImages(folder, "test")).toThrow(
      "VOC2007/Annotations/a.xml: XML: the document ends inside <annotation>",
    );
  });
});

const cells = dataFile("detection/bccd-trainval.tar");
it.skipIf(!cells)("is read from an archive, too: 205 and 87 pictures of blood cells", () => {
  const [train, val] = ["train", "val"].map((set) => vocImages(cells!, set));
  expect([train.length, val.length]).toEqual([205, 87]);
  expect(classesOf(train)).toEqual(["Platelets", "RBC", "WBC"]);
  const boxes = [...train, ...val].flatMap(({ objects }) => objects.map(({ name }) => name));
  expect(["Platelets", "RBC", "WBC"].map((name) => boxes.filter((one) => one === name).length)).toEqual([
    292, 3350, 301,
  ]);
  expect([...val[0].read().subarray(0, 2)]).toEqual([0xff, 0xd8]);
});
