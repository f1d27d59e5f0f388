// Preloaded before an app's entry. It binds the first server that the app starts, whatever the app calls, to the Unix
// socket that the daemon chose, and writes one JSON line per event to a file descriptor of the daemon.
//
// It stands on the path of every cold start, where a KiB of code costs about 0.1 ms, node:fs 3 ms and node:http 10 ms.
// So it imports nothing of Bun that an app might not need, what is seldom needed lies in the files beside it, and it overrides only Bun.serve and
// Bun.listen: Bun's own node:http and node:net end there too.
// It runs in the app's process: the daemon believes nothing that it says.

import "./sqlite.ts"; // before a zygote waits: what it costs is spent then

type Fields = Record<string, any>;

const LINE_CHARS_MAX = 65_536; // one event; Bun.write has written texts of this size when it returns

if (process.env.STEADY_ZYGOTE) await require("./zygote.ts").wait(Number(process.env.STEADY_STATUS_FD));

const { PORT, STEADY_CALLS, STEADY_ENTRY, STEADY_ENV, STEADY_SOCKET, STEADY_STATUS_FD, STEADY_URL } = process.env;
delete process.env.STEADY_CALLS;
delete process.env.STEADY_ENTRY;
delete process.env.STEADY_SOCKET;
delete process.env.STEADY_STATUS_FD;

// What a server's options say for us. It lies over them as a prototype's child would: a copy would lose their getters,
// prototypes and private members.
const ELSEWHERE = Object.getOwnPropertyDescriptors({
  unix: STEADY_SOCKET,
  port: undefined,
  hostname: undefined,
  fd: undefined,
  reusePort: undefined,
  ipv6Only: undefined,
  tls: undefined, // the proxy ends TLS
  http1: undefined,
  http3: undefined,
  idleTimeout: 0, // the proxy keeps connections for later, and an event stream may be silent for long
});

if (STEADY_ENTRY) process.argv[1] = STEADY_ENTRY; // a bundle is run in its place

let holder: object | undefined; // the listening server that has the socket

// Nobody at the other end: the daemon was killed while this started, before it could take its children along.
const greeting = STEADY_STATUS_FD && Bun.write(Bun.file(Number(STEADY_STATUS_FD)), "\n");
if (greeting && Bun.peek.status(greeting) === "rejected") process.exit(1);

if (STEADY_CALLS) require("./calls.ts").answer(Bun.serve, STEADY_CALLS);
if (STEADY_SOCKET) {
  Object.assign(Bun, { serve: first(Bun.serve, claimHttp), listen: first(Bun.listen, claimTcp) });
  process.on("uncaughtExceptionMonitor", (error) => report("error", require("./failure.ts").describe(error)));
  if (STEADY_ENV === "production") watchTimers();
  if (STEADY_ENV === "local") require("./local.ts").watch(report);
}

function first(make: any, claim: (server: any, options: Fields) => void) {
  return function start(options: Fields) {
    try {
      if (holder || !options) return make(options);
      const server = make(Object.create(options, ELSEWHERE));
      holder = server;
      claim(server, options);
      report("ready");
      return server;
    } catch (error) {
      Error.captureStackTrace(error as Error, start); // wrong options are the app's: its line is shown, not ours
      throw error;
    }
  };
}

// Bun.serve, a default export, Hono, Elysia; by way of node:http also Express, Fastify and Koa.
function claimHttp(server: any, options: Fields): void {
  const { hostname = "localhost", port = 3000 } = options;
  const shown = Number(PORT) || Number(port);
  const { stop } = server;
  Object.setPrototypeOf(server, {
    __proto__: Object.getPrototypeOf(server),
    port: shown,
    hostname,
    get address() {
      return address(options.hostname, shown);
    },
    get url() {
      return new URL(`http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${shown}/`);
    },
    requestIP(request: Request) {
      return address(clientOf(request.headers.get("x-forwarded-for")), 0);
    },
    stop(...rest: unknown[]) {
      release(server);
      return stop.apply(server, rest);
    },
    [Symbol.dispose]() {
      release(server);
      stop.call(server, true);
    },
  });
  if (options.onNodeHTTPRequest) require("./node.ts").adjust(clientOf);
  else if (STEADY_URL) sayWhere(STEADY_URL);
}

// A node:net server or Bun.listen that speaks HTTP by itself.
function claimTcp(listener: any, options: Fields): void {
  const { hostname = "localhost", port = 3000 } = options;
  const shown = Number(PORT) || Number(port);
  const { stop } = listener;
  Object.setPrototypeOf(listener, {
    __proto__: Object.getPrototypeOf(listener),
    port: shown,
    hostname,
    unix: undefined,
    getsockname(out: object) {
      Object.assign(out, address(options.hostname, shown));
    },
    stop(...rest: unknown[]) {
      release(listener);
      return stop.apply(listener, rest);
    },
    [Symbol.dispose]() {
      release(listener);
      stop.call(listener, true);
    },
  });
}

// A stopped server leaves the socket to the next one.
function release(server: object): void {
  if (holder !== server) return;
  holder = undefined;
  report("closed");
}

// What the app believes to listen on, so that what it prints and the URLs it builds make sense.
function address(host = "::", port: number): object {
  return { address: host, family: host.includes(":") ? "IPv6" : "IPv4", port };
}

// A Unix socket has no remote address; the proxy's header tells the client's.
function clientOf(forwardedFor: unknown): string {
  return String(forwardedFor || "127.0.0.1").split(",").pop()!.trim();
}

// After a default export Bun prints "Started server: http://HOST:PORT", which here would be nobody's address.
function sayWhere(url: string): void {
  const debug = console.debug;
  const said = (...words: unknown[]) =>
    /^Started (development )?server: /.test(String(words[0])) ? debug(`Started server: ${url}`) : debug(...words);
  console.debug = said;
  queueMicrotask(() => {
    if (console.debug === said) console.debug = debug;
  });
}

// A timer that outlives a pause, set once or for ever: the daemon tells the owner, the first time that it pauses the app.
function watchTimers(): void {
  const { setInterval: every, setTimeout: once } = globalThis as any;
  const watched = (set: any, long: (ms: number) => boolean) =>
    Object.setPrototypeOf((run: any, ms: number, ...rest: unknown[]) => {
      if (long(ms) && !/^[^\n]*\n[^\n]*\n[^\n]*\(node:/.test(new Error().stack!)) { // not node:http's own
        Object.assign(globalThis, { setInterval: every, setTimeout: once });
        report("timer");
      }
      return set(run, ms, ...rest);
    }, set); // it has more to it, such as what util.promisify looks for
  Object.assign(globalThis, { setInterval: watched(every, () => true), setTimeout: watched(once, (ms) => ms >= 10_000) });
}

function report(event: string, fields?: Fields): void {
  if (!STEADY_STATUS_FD) return;
  const line = JSON.stringify({ event, ...fields }).slice(0, LINE_CHARS_MAX);
  Bun.write(Bun.file(Number(STEADY_STATUS_FD)), line + "\n").catch(() => {}); // a daemon that has gone needs no news
}
