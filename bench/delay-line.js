// A long link on loopback, as a process of its own: `delay-line.js TARGET_PORT ROUND_TRIP_MS BYTES_PER_SECOND`.
// All connections share it. Each way, bytes leave at the rate (0: as fast as they come) and arrive half a round trip
// later, in order. Whoever sends more than fits on the link, and in the buffer in front of it, is not read from.
import { connect, createServer } from 'node:net';
import { setTimeout } from 'node:timers';

const [targetPort, roundTripMs, bytesPerSecond] = process.argv.slice(2).map(Number);

/** What is under way at most without a rate, in bytes: more than any program keeps under way. */
const MOST_UNLIMITED = 64 * 1024 * 1024;
/** How long the last byte of a full buffer in front of the link waits, in ms: an ordinary router's. */
const BUFFERED_MS = 100;
/** What a receiver who does not read may leave here, in bytes. */
const MOST_UNREAD = 16 * 1024 * 1024;
/** Pieces in which bytes leave at a rate, in bytes: so small that connections take turns. */
const PIECE = bytesPerSecond === 0 ? Infinity : 16 * 1024;

/** What is carried besides bytes. */
const END = Symbol('end');
const CLOSE = Symbol('close');

/** One way of the link. */
class Way {
  #most = bytesPerSecond === 0 ? MOST_UNLIMITED : (bytesPerSecond * (roundTripMs / 2 + BUFFERED_MS)) / 1000;
  #queue = [];
  #head = 0;
  #underWay = 0;
  #freeAt = 0;
  #waiting = new Set();
  #isTimed = false;

  /** Carries all that comes from one socket to another, and the end of it. */
  carry(from, to) {
    from.on('data', (data) => {
      for (let start = 0; start < data.length; start += PIECE)
        this.#send(to, data.subarray(start, start + PIECE));
      if (this.#underWay >= this.#most) this.#hold(from);
      else if (to.writableLength >= MOST_UNREAD) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('end', () => this.#send(to, END));
    from.on('error', () => undefined); // 'close' follows
    from.on('close', () => {
      this.#waiting.delete(from);
      this.#send(to, CLOSE);
    });
  }

  #hold(from) {
    from.pause();
    this.#waiting.add(from);
  }

  #send(to, data) {
    const length = lengthOf(data);
    const now = performance.now();
    if (bytesPerSecond > 0) this.#freeAt = Math.max(this.#freeAt, now) + (length * 1000) / bytesPerSecond;
    this.#queue.push({ to, data, due: Math.max(this.#freeAt, now) + roundTripMs / 2 });
    this.#underWay += length;
    this.#deliverAt(this.#queue[this.#head].due, now);
  }

  #deliverAt(time, now) {
    if (this.#isTimed) return;
    this.#isTimed = true;
    setTimeout(() => this.#deliver(), Math.max(0, time - now));
  }

  #deliver() {
    this.#isTimed = false;
    const now = performance.now();
    for (; this.#head < this.#queue.length && this.#queue[this.#head].due <= now; this.#head += 1) {
      const { to, data } = this.#queue[this.#head];
      this.#underWay -= lengthOf(data);
      if (data === CLOSE) to.destroySoon();
      else if (data === END) to.end();
      else if (to.writable) to.write(data);
    }
    if (this.#head === this.#queue.length || this.#head > 4096) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    if (this.#queue.length > 0) this.#deliverAt(this.#queue[this.#head].due, now);
    if (this.#underWay >= this.#most) return;
    for (const from of this.#waiting) from.resume();
    this.#waiting.clear();
  }
}

function lengthOf(data) {
  return typeof data === 'symbol' ? 0 : data.length;
}

const up = new Way();
const down = new Way();
const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
  const target = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true, noDelay: true });
  up.carry(client, target);
  down.carry(target, client);
  // A connection takes a round trip to be made: the client is connected to this process at once.
  setTimeout(() => client.resume(), roundTripMs);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
