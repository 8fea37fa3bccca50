// A subscriber of the order hub: it keeps every order at the newest version that it has been told.
//
// Start it with Node.js 18 or later, `npm install amqplib`, and these variables:
//   AMQP_URL  amqps://user:secret@host/vhost
//   QUEUE     the queue of your subscription
//   STATE     a file of its own, a line of JSON for each order that moved
//   MAJOR     the major version of events that you subscribe to; 1 unless given
//
// Live events, back-filled snapshots and replayed events come in any order, and any of them more than once. Each holds
// the whole order after a change, and its `sequence` is the order's version. So one rule merges them all: a higher
// version takes the place of a lower one, everything else changes nothing.

import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import amqp from "amqplib";

const PREFETCH = 200; // The broker gives back what is not settled, and never more than this is.
const LONGEST_WAIT_MS = 30_000;
const STEADY_MS = 60_000;
const REFUSED = /^Handshake terminated by server: 403/;

/** What we know: the version of each order in memory, every order in a file that is only ever added to. */
class State {
  constructor(path) {
    this.versions = new Map();
    this.file = fs.openSync(path, "a");
    const text = fs.readFileSync(path);
    // A crash may have cut the last line short. It was not settled then, and comes again.
    const whole = text.subarray(0, text.lastIndexOf("\n") + 1);
    fs.ftruncateSync(this.file, whole.length);
    for (const line of whole.toString().split("\n").filter(Boolean)) this.isNews(JSON.parse(line));
  }

  /** Lines on the disk when this returns, as far as they say anything new. */
  keep(lines) {
    const news = lines.filter((line) => this.isNews(line));
    if (news.length === 0) return;
    fs.writeSync(this.file, news.map(({ text }) => text + "\n").join(""));
    fs.fsyncSync(this.file);
  }

  isNews({ aside, order_no: orderNo, version }) {
    if (aside !== undefined) return true;
    if (version <= (this.versions.get(orderNo) ?? 0)) return false;
    this.versions.set(orderNo, version);
    return true;
  }
}

/** The line that a message comes to: an order at a version, or bytes to keep aside; none for what we do not know. */
function linesOf({ content }, kind) {
  try {
    const { type, subject, sequence, data } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
    if (typeof type !== "string") throw new TypeError("no type");
    // What we do not know was not meant for us. It is settled, and must not be an error.
    if (!kind.test(type)) return [];
    if (typeof subject !== "string" || !/^[0-9]{1,15}$/.test(sequence)) throw new TypeError("no subject or no sequence");
    if (data.order == null) throw new TypeError("no order");
    return [lineOf({ order_no: subject, version: Number(sequence), order: data.order })];
  } catch (error) {
    // Nothing that is in a message may end the program, or it would come for ever.
    console.error(`kept aside: ${error}`);
    return [lineOf({ aside: content.toString("base64"), reason: String(error) })];
  }
}

function lineOf(facts) {
  return { ...facts, text: JSON.stringify(facts) };
}

/** Keep messages and settle them until told to stop; throws when the connection is lost. */
async function read({ url, queue, kind, state, stopped }) {
  const options = { clientProperties: { connection_name: `subscriber ${queue}` } };
  const connection = await amqp.connect(url, options);
  try {
    const channel = await connection.createChannel();
    await new Promise((resolve, reject) => {
      const arrived = [];
      const settle = () => {
        const messages = arrived.splice(0);
        // First the disk, then the broker: what is settled is gone there. A disk that fails ends the program, for what
        // it has not written it must not take for known.
        state.keep(messages.flatMap((message) => linesOf(message, kind)));
        try {
          channel.ack(messages.at(-1), true);
        } catch (error) {
          reject(error);
        }
      };
      const take = (message) => {
        if (message === null) reject(new Error("the broker ended the delivery: the queue is gone, or moved"));
        // What has arrived together goes to the disk together.
        else if (arrived.push(message) === 1) setImmediate(settle);
      };
      connection.on("error", reject);
      connection.on("close", () => reject(new Error("the connection was closed")));
      channel.on("error", reject);
      stopped.addEventListener("abort", resolve, { once: true });
      channel.prefetch(PREFETCH).then(() => channel.consume(queue, take)).catch(reject);
    });
  } finally {
    await connection.close().catch(() => undefined);
  }
}

/** Read, and begin again after a while when the connection is lost. */
async function run(subscriber, stopped) {
  for (let failures = 0; !stopped.aborted; ) {
    const begun = Date.now();
    try {
      await read({ ...subscriber, stopped });
    } catch (error) {
      if (REFUSED.test(error.message)) throw error; // Was the secret changed? Waiting would not help.
      failures = Date.now() - begun > STEADY_MS ? 1 : failures + 1;
      // Any time up to a bound that doubles: all subscribers of a broker that restarts must not come at once.
      const wait = Math.round(Math.random() * Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures));
      console.error(`lost the broker, again in ${wait} ms: ${error.message}`);
      await sleep(wait, undefined, { signal: stopped }).catch(() => undefined);
    }
  }
}

const { AMQP_URL, QUEUE, STATE, MAJOR = "1" } = process.env;
const url = new URL(AMQP_URL);
url.searchParams.set("heartbeat", "20");
const kind = new RegExp(`^com\\.orderhub\\.order\\.[a-z_]+\\.v${Number(MAJOR)}$`);
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => stop.abort());
await run({ url: url.href, queue: QUEUE, kind, state: new State(STATE) }, stop.signal);
