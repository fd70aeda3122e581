// Runs the npm package `smtp-server` for tests/support/npm_smtp_server.py, which writes its options as one line of JSON
// and reads one JSON object per line: first {ports}, then {copy} for each message and {visit} for each connection that
// has ended. The process ends when its stdin does.
"use strict";

const readline = require("node:readline");
const { SMTPServer } = require("smtp-server");

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

function refusal(reply) {
  const [, code, text] = /^(\d{3}) \S+ (.*)$/.exec(reply);
  return Object.assign(new Error(text), { responseCode: Number(code) });
}

// How often each command was given, by connection. Callbacks exist for some commands only; the log has them all.
const visits = new Map();

function count(connection, command) {
  const visit = visits.get(connection) ?? {};
  visits.set(connection, visit);
  visit[command] = (visit[command] ?? 0) + 1;
}

const logger = Object.fromEntries(["trace", "info", "warn", "error", "fatal"].map((level) => [level, () => {}]));
logger.debug = ({ tnx, cid, command }) => {
  if (tnx === "command" && /^[A-Za-z]{4,8}$/.test(command)) count(cid, command.toLowerCase());
};

function optionsFor({ key, cert, largest, users, refusals, once }) {
  const forgiven = new Set();
  return {
    key,
    cert,
    logger,
    size: largest,
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: false,
    onAuth({ username, password }, session, done) {
      if (users[username] !== password) return done(refusal("535 5.7.8 Wrong user name or password"));
      return done(null, { user: username });
    },
    onRcptTo({ address }, session, done) {
      const reply = forgiven.has(address) ? undefined : refusals[address];
      if (once.includes(address)) forgiven.add(address);
      return done(reply && refusal(reply));
    },
    onData(stream, session, done) {
      const pieces = [];
      const { mailFrom, rcptTo } = session.envelope;
      stream.on("data", (piece) => pieces.push(piece));
      stream.on("end", () => {
        if (stream.sizeExceeded) return done(refusal("552 5.3.4 Too large"));
        const recipients = rcptTo.map(({ address }) => address);
        tell({ copy: { sender: mailFrom.address, recipients, content: Buffer.concat(pieces).toString("base64") } });
        return done(null, "Taken");
      });
    },
    onClose(session) {
      tell({ visit: visits.get(session.id) ?? {} });
    },
  };
}

async function listen(server) {
  server.on("error", () => {}); // a client that hung up; the test sees it from its own side
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server.server.address().port;
}

function main() {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("close", () => process.exit(0));
  lines.once("line", async (line) => {
    const options = optionsFor(JSON.parse(line));
    // Named as the ways in of tests/support/other_server.py.
    const ports = {
      CLEAR: await listen(new SMTPServer({ ...options, disabledCommands: ["AUTH", "STARTTLS"] })),
      STARTTLS: await listen(new SMTPServer(options)),
      IMPLICIT: await listen(new SMTPServer({ ...options, secure: true })),
    };
    tell({ ports });
  });
}

main();
