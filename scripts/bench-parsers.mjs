// SPDX-License-Identifier: MIT
// Node's parsers on the bytes of `ProtocolTool vectors`: the official Socket.IO client's own decoder, the
// receiver of `ws`, JSON.parse.
// usage: node bench-parsers.mjs SOCKET_IO_CLIENT_BUNDLE <VECTORS      prints case, ns
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(import.meta.url);
const parsers = {
  json: (bytes) => {
    const text = bytes.toString();
    return () => JSON.parse(text);
  },
};

const bundle = resolve(process.argv[2] ?? "");
if (existsSync(bundle) && bundle.endsWith(".js")) {
  const { Manager } = require(bundle);
  const decoder = () => {
    const manager = new Manager("http://127.0.0.1:9", { autoConnect: false });
    let count = 0;
    manager.decoder.on("decoded", () => (count += 1));
    return { decoder: manager.decoder, count: () => count };
  };
  parsers.socketio = (bytes) => {
    const { decoder: one } = decoder();
    const text = bytes.toString();
    return () => one.add(text);
  };
  parsers["socketio-binary"] = (bytes) => {
    const { decoder: one } = decoder();
    const [text, attachment] = [bytes.toString(), Buffer.alloc(1024)];
    return () => {
      one.add(text);
      one.add(attachment);
    };
  };
} else {
  console.error("the official client is not there: make web fetches it");
}

for (const path of ["ws", "/usr/share/nodejs/ws/lib/receiver.js"]) {
  try {
    const found = require(path);
    const Receiver = found.Receiver ?? found;
    parsers.frame = (bytes) => {
      // Options first since version 8; before, one argument each.
      const receiver = new Receiver({ isServer: true, binaryType: "nodebuffer", maxPayload: 0 });
      let count = 0;
      receiver.on("message", () => (count += 1));
      receiver.on("error", (error) => {
        throw error;
      });
      return () => {
        // Unmasked in place, so each round gets bytes of its own, as from a socket.
        receiver._write(Buffer.from(bytes), null, () => {});
      };
    };
    break;
  } catch {
    continue;
  }
}
if (!parsers.frame) console.error("ws is not installed");

function measure(run) {
  for (let i = 0; i < 20000; i += 1) run();
  let best = Infinity;
  for (let round = 0; round < 7; round += 1) {
    const rounds = 20000;
    const start = process.hrtime.bigint();
    for (let i = 0; i < rounds; i += 1) run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / rounds);
  }
  return best;
}

for (const line of readFileSync(0, "utf8").trim().split("\n")) {
  const [name, kind, digits] = line.split("\t");
  if (parsers[kind]) console.log(`${name}\t${measure(parsers[kind](Buffer.from(digits, "hex"))).toFixed(0)}`);
}
process.exit(0);
