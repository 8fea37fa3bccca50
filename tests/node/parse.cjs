// Reads a list of AsyncAPI documents on stdin and writes what the official parser has to say of each, as JSON.
const { Parser } = require("@asyncapi/parser");

const SEVERITIES = ["error", "warning", "information", "hint"];

async function main() {
  let text = "";
  for await (const part of process.stdin) text += part;
  const said = [];
  for (const given of JSON.parse(text)) said.push(await parsed(given));
  console.log(JSON.stringify(said));
}

async function parsed(given) {
  const { document, diagnostics } = await new Parser().parse(JSON.stringify(given));
  const found = diagnostics.map(({ severity, code, path, message }) => ({
    severity: SEVERITIES[severity],
    code,
    path: path.join("."),
    message,
  }));
  const messages = document ? document.allMessages().all().map((each) => each.name()) : null;
  const operations = document ? document.operations().all().map((each) => [each.id(), each.action()]) : null;
  return { found, messages, operations };
}

main();
