// Reads mail with the npm package `mailparser`: one mail in base64 per line of stdin, one JSON object per line of
// stdout. tests/worker/composer/readers.py runs it; the process stays, so that thousands of mails can be read quickly.
"use strict";

const readline = require("node:readline");
const { simpleParser } = require("mailparser");

// Report what the mail holds, not what a web page would make of it.
const AS_SENT = { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true, keepCidLinks: true };

const people = (field) => (field ? field.value.map(({ name, address }) => [name, address ?? ""]) : []);

async function read(line) {
  const mail = await simpleParser(Buffer.from(line, "base64"), AS_SENT);
  return {
    header_names: mail.headerLines.map(({ key }) => key),
    subject: mail.subject ?? "",
    message_id: mail.messageId ?? "",
    date: mail.date ? mail.date.toISOString() : "",
    from: people(mail.from),
    reply_to: people(mail.replyTo),
    to: people(mail.to),
    cc: people(mail.cc),
    text: mail.text ?? null,
    html: mail.html || null,
    files: mail.attachments.map((file) => ({
      name: file.filename ?? "",
      media_type: file.contentType,
      disposition: file.contentDisposition,
      content_id: file.cid ?? "",
      content: file.content.toString("base64"),
    })),
  };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await read(line))}\n`);
  }
}

main();
