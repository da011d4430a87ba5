// Node's eventsource-parser, driven as worker.py is: lines of JSON in, lines of JSON out.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2] + "/");
const { createParser } = require("eventsource-parser");
const packages = { node: process.version, "eventsource-parser": require("eventsource-parser/package.json").version };
console.log(JSON.stringify(packages));

for await (const line of createInterface({ input: process.stdin })) {
  const { file, size } = JSON.parse(line);
  const document = readFileSync(file);
  const chunks = [];
  for (let start = 0; start < document.length; start += size) chunks.push(document.subarray(start, start + size));
  let events = 0;
  const parser = createParser({ onEvent: () => { events += 1; } });
  const decoder = new TextDecoder();
  const before = process.cpuUsage();
  for (const chunk of chunks) parser.feed(decoder.decode(chunk, { stream: true }));
  const used = process.cpuUsage(before);
  console.log(JSON.stringify({ cpu: (used.user + used.system) / 1e6, units: document.length, events }));
}
