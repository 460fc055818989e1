// SPDX-License-Identifier: MIT
// Node's SharedArrayBuffer: shared between the threads of one process only, never between processes.

const SLICE = Number(process.argv[3]); // nanoseconds for each operation
const SIZE = 64 * 1024 * 1024;
const shared = new SharedArrayBuffer(SIZE);
const words = new Int32Array(shared);
const memory = Buffer.from(shared);
const bytes = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef', 'latin1');
const whole = Buffer.alloc(SIZE, 'p');
let sink = 0; // what is computed is used, or the compiler drops it

function timed(run, times) {
  const start = process.hrtime.bigint();
  sink += run(times);
  return Number(process.hrtime.bigint() - start);
}

function empty(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += i & 7;
  return sum;
}

function measure(operation, who, run, once) {
  let times = once ? 1 : 1000;
  let taken = timed(run, times); // the first touch does not count
  while (!once && taken < SLICE) {
    times = Math.ceil(times * Math.min(10, Math.max(1.3, (1.1 * SLICE) / Math.max(taken, 1))));
    taken = timed(run, times);
  }
  taken = timed(run, times);
  timed(empty, times);
  const loop = once ? 0 : timed(empty, times);
  console.log(['time', operation, who, taken / times, loop / times].join('\t'));
}

measure('read 32 bytes', 'Node Buffer (threads only)', (n) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += memory.latin1Slice(i & 7, 32 + (i & 7)).length;
  return sum;
});
measure('write 32 bytes', 'Node Buffer (threads only)', (n) => {
  for (let i = 0; i < n; i++) bytes.copy(memory, i & 7);
  return n;
});
measure('get i32', 'Node typed array (threads only)', (n) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += words[i & 7];
  return sum;
});
measure('load i32', 'Node Atomics (threads only)', (n) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Atomics.load(words, i & 7);
  return sum;
});
measure('add i32', 'Node Atomics (threads only)', (n) => {
  for (let i = 0; i < n; i++) Atomics.add(words, i & 7, 1);
  return n;
});
measure('read 64 MiB', 'Node Buffer (threads only)', () => memory.latin1Slice(0, SIZE).length, true);
measure('write 64 MiB', 'Node Buffer (threads only)', () => whole.copy(memory, 0), true);
if (sink === 0.5) console.log(sink);
