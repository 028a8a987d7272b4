// Shows each state that the server sends. Names come from the world: text only, never HTML.
"use strict";
const LOST_AFTER_MS = 4000;
const QUIET_AFTER_S = 10;
const AGAIN_MS = 1000;
const find = id => document.getElementById(id);
let lastEvent = Date.now();
let picture = "";
let shownNg = "";
let shownTroubles = "";

function show(state) {
  const last = state.last;
  const word = state.is_last_lost ? "LOST" : last ? last.verdict : "…";
  document.body.dataset.verdict = last ? word : "none";
  find("word").textContent = word;
  find("why").textContent = last ? why(last, state) : "waiting for the first part";
  if (state.bundle) document.title = `${state.bundle}, edgeinspect`;
  find("n-ok").textContent = number(state.counts["OK"]);
  find("n-ng").textContent = number(state.counts["NG"]);
  find("n-not").textContent = number(state.counts["NOT-INSPECTED"]);
  document.body.classList.toggle("some-not", state.counts["NOT-INSPECTED"] > 0);
  find("rate").textContent = figure(state.rate_per_s);
  const latency = state.latency_ms;
  if (latency.p50 !== undefined) {
    find("latency").textContent = figure(latency.p50);
    find("latency-99").textContent = `ms median, 99 %: ${figure(latency.p99)}`;
  }
  showPicture(state);
  showNg(state.ng);
  const lost = state.lost.map(source => `${source} is lost`);
  const away = (state.away || []).map(sink => `the sink ${sink} is away`);
  showTroubles(state.troubles, [...lost, ...away]);
}

function why(last, state) {
  const sinceS = state.since_last_s;
  const quiet = sinceS > QUIET_AFTER_S ? `no part for ${number(Math.round(sinceS))} s` : "";
  if (state.is_last_lost) return `${last.stream || "the source"}: ${quiet || "no pictures"}`;
  if (quiet) return quiet;
  return last.stream ? `${last.stream}: ${result(last)}` : result(last);
}

function result(part) {
  if (part.verdict === "NOT-INSPECTED") return part.reason || "";
  return `${(part.score / part.threshold).toFixed(2)} × the limit`;
}

function name(part) {
  return part.stream ? `${part.stream} ${part.name}` : part.name;
}

function number(n) {
  return n.toLocaleString("en").replaceAll(",", "\u202f");
}

// Three digits are enough: 12.3, 123, 1 234.
function figure(value) {
  return value < 100 ? value.toFixed(1) : number(Math.round(value));
}

// Numbers begin anew with each run, and a browser keeps pictures by their address: hence the time.
function showPicture({ picture: n, shown: part }) {
  const address = part ? `part.jpg?${n}-${part.time}` : "";
  if (address === picture) return;
  picture = address;
  find("picture").hidden = !part;
  find("caption").textContent = part ? `${part.verdict}, ${result(part)}, ${name(part)}` : "";
  if (part) find("picture").src = address;
}

function showNg(parts) {
  const key = JSON.stringify(parts);
  if (key === shownNg) return;
  shownNg = key;
  find("ng").replaceChildren(...parts.map(part => {
    const item = document.createElement("li");
    const image = document.createElement(part.has_picture ? "img" : "div");
    if (part.has_picture) { image.src = `ng/${part.key}.jpg?${part.time}`; image.alt = part.name; }
    else image.className = "none";
    item.append(image, words(result(part)), words(`${clock(part.time)} ${name(part)}`));
    return item;
  }));
}

function showTroubles(troubles, now) {
  const key = JSON.stringify([troubles, now]);
  if (key === shownTroubles) return;
  shownTroubles = key;
  const past = troubles.map(trouble => [clock(trouble.time), trouble.text]);
  const items = [...now.map(text => ["now", text]), ...past].map(([when, text]) => {
    const item = document.createElement("li");
    item.classList.toggle("now", when === "now");
    const time = document.createElement("time");
    time.textContent = when;
    item.append(time, text);
    return item;
  });
  find("troubles").replaceChildren(...(items.length ? items : [words("none")]));
}

function words(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span;
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

function listen() {
  const source = new EventSource("events");
  source.onmessage = event => {
    lastEvent = Date.now();
    find("lost").hidden = true;
    show(JSON.parse(event.data));
  };
  // A browser asks again by itself when a connection breaks, and not after an answer such as 503.
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}

listen();
// What is not renewed must not be believed.
setInterval(() => { find("lost").hidden = Date.now() - lastEvent < LOST_AFTER_MS; }, 500);
