// Shows each state that the server sends. Names come from the world: text only, never HTML.
"use strict";
const LOST_AFTER_MS = 4000;
const QUIET_AFTER_S = 10;
const find = id => document.getElementById(id);
let lastEvent = Date.now();
let picture = 0;
let shownNg = "";
let shownTroubles = "";

function show(state) {
  const last = state.last;
  document.body.dataset.verdict = last ? last.verdict : "none";
  find("word").textContent = last ? last.verdict : "…";
  find("why").textContent = last ? why(last, state.since_last_s) : "waiting for the first part";
  if (state.bundle) document.title = `${state.bundle}, edgeinspect`;
  find("n-ok").textContent = state.counts["OK"].toLocaleString("en").replaceAll(",", " ");
  find("n-ng").textContent = state.counts["NG"].toLocaleString("en").replaceAll(",", " ");
  find("n-not").textContent = state.counts["NOT-INSPECTED"];
  document.body.classList.toggle("some-not", state.counts["NOT-INSPECTED"] > 0);
  find("rate").textContent = state.rate_per_s.toPrecision(3);
  const latency = state.latency_ms;
  find("latency").textContent = latency.p50 === undefined ? "-" : `${latency.p50} (${latency.p99})`;
  if (state.picture !== picture) {
    picture = state.picture;
    find("picture").src = `part.jpg?n=${picture}`;
    find("picture").hidden = false;
  }
  showNg(state.ng);
  showTroubles(state.troubles, state.away || []);
}

function why(last, sinceS) {
  if (sinceS > QUIET_AFTER_S) return `no part for ${Math.round(sinceS)} s`;
  if (last.verdict === "NOT-INSPECTED") return last.reason || "";
  return `score ${(last.score / last.threshold).toFixed(2)} of the limit`;
}

function showNg(parts) {
  const key = JSON.stringify(parts);
  if (key === shownNg) return;
  shownNg = key;
  find("ng").replaceChildren(...parts.map(part => {
    const item = document.createElement("li");
    const image = document.createElement(part.has_picture ? "img" : "div");
    if (part.has_picture) { image.src = `ng/${part.key}.jpg`; image.alt = part.source; }
    else image.className = "none";
    const times = part.score && part.threshold ? `${(part.score / part.threshold).toFixed(2)} × ` : "";
    item.append(image, words(`${times}${clock(part.time)}`), words(part.source));
    return item;
  }));
}

function showTroubles(troubles, away) {
  const key = JSON.stringify([troubles, away]);
  if (key === shownTroubles) return;
  shownTroubles = key;
  const now = away.map(name => ["now", `the sink ${name} is away`]);
  const past = troubles.map(t => [clock(t.time), t.text + (t.seconds ? ` after ${Math.round(t.seconds)} s` : "")]);
  const items = [...now, ...past].map(([when, text]) => {
    const item = document.createElement("li");
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

const source = new EventSource("events");
source.onmessage = event => {
  lastEvent = Date.now();
  find("lost").hidden = true;
  show(JSON.parse(event.data));
};
// What is not renewed must not be believed.
setInterval(() => { find("lost").hidden = Date.now() - lastEvent < LOST_AFTER_MS; }, 500);
