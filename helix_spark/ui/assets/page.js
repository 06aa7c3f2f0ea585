import { fitted } from "/assets/graph.js";
import { panels, remarked } from "/assets/panel.js";

// Highlights what a node is made of and what is made of it, and follows what still runs. All pages work without it.

function reach(start, edges) {
  const found = new Set();
  const waiting = [start];
  while (waiting.length) {
    for (const next of edges.get(waiting.pop()) ?? []) {
      if (!found.has(next)) {
        found.add(next);
        waiting.push(next);
      }
    }
  }
  return found;
}

function lineage(picture) {
  const links = [...picture.querySelectorAll(".hx-link")];
  const nodes = [...picture.querySelectorAll(".hx-node")];
  const inputs = new Map();
  const readers = new Map();
  for (const { dataset: { from, to } } of links) {
    inputs.set(to, [...(inputs.get(to) ?? []), from]);
    readers.set(from, [...(readers.get(from) ?? []), to]);
  }
  const show = (name) => {
    const above = reach(name, inputs).add(name);
    const below = reach(name, readers).add(name);
    picture.classList.add("hx-lineage");
    for (const node of nodes) {
      node.classList.toggle("hx-on", above.has(node.dataset.node) || below.has(node.dataset.node));
    }
    for (const { classList, dataset: { from, to } } of links) {
      classList.toggle("hx-on", (above.has(from) && above.has(to)) || (below.has(from) && below.has(to)));
    }
  };
  const hide = () => picture.classList.remove("hx-lineage");
  for (const node of nodes) {
    node.addEventListener("pointerenter", () => show(node.dataset.node));
    node.addEventListener("focus", () => show(node.dataset.node));
    node.addEventListener("pointerleave", hide);
    node.addEventListener("blur", hide);
  }
}

const pause = (ms) => new Promise((then) => setTimeout(then, ms));

async function asked(address) {
  const answer = await fetch(address);
  if (!answer.ok) {
    throw new Error(`${answer.status} for ${address}`);
  }
  return answer.text();
}

const fields = "input, select, textarea";
const typing = () => document.activeElement?.matches(`main :is(${fields})`) ?? false;

// What tells an element from others of its sort, in this page and in a later one of the same iteration.
function mark(element) {
  const said = element.dataset.node ?? element.getAttribute("href") ?? element.getAttribute("aria-label");
  return `${element.tagName} ${said ?? element.getAttribute("name") ?? element.textContent.trim()}`;
}

const marked = (root, selector) => new Map([...root.querySelectorAll(selector)].map((each) => [mark(each), each]));

// Remembers what a person did to the page; what comes back gives that to the page that took its place.
function remembered(main) {
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const open = new Map([...marked(main, "summary")].map(([key, { parentElement }]) => [key, parentElement.open]));
  const typed = new Map([...marked(main, fields)].map(([key, field]) => [key, [field.value, field.defaultValue]]));
  const scrolled = new Map([...marked(main, ".scroll")].map(([key, each]) => [key, [each.scrollLeft, each.scrollTop]]));
  const [left, top] = [scrollX, scrollY];
  return () => {
    for (const [key, { parentElement }] of marked(main, "summary")) {
      parentElement.open = open.get(key) ?? parentElement.open;
    }
    for (const [key, field] of marked(main, fields)) {
      const [value, before] = typed.get(key) ?? [];
      if (value !== before) {
        field.value = value;
      }
    }
    for (const [key, region] of marked(main, ".scroll")) {
      [region.scrollLeft, region.scrollTop] = scrolled.get(key) ?? [0, 0];
    }
    if (focused && !focused.isConnected) {
      marked(main, focused.tagName).get(mark(focused))?.focus({ preventScroll: true });
    }
    scrollTo(left, top);
  };
}

// Puts what is in a later page into this one. The line that says how far it is stays the same element, for only what
// changes in such a one is read out.
function renew(main, later) {
  const restore = remembered(main);
  const line = main.querySelector("[role=status]");
  const next = later.querySelector("[role=status]");
  const parts = [...later.childNodes];
  if (line) {
    const place = next ? parts.indexOf(next) : parts.indexOf(later.querySelector(".headline")) + 1;
    const text = next?.textContent ?? "It has ended.";
    for (const part of [...main.childNodes]) {
      if (part !== line) {
        part.remove();
      }
    }
    line.before(...parts.slice(0, place));
    line.after(...parts.slice(next ? place + 1 : place));
    if (line.textContent !== text) {
      line.textContent = text;
    }
  } else {
    main.replaceChildren(...parts);
  }
  graphs();
  plots();
  remarked();
  restore();
}

let drawn = [];

function graphs() {
  document.querySelectorAll(".graph svg.hx-graph:not(.drum)").forEach(lineage);
  drawn = [...document.querySelectorAll(".graph .scroll")].map(fitted).filter(Boolean);
}

// Leaves a node in sight when what is told of it covers the right of the page.
function besidePanel() {
  const over = document.querySelector(".hx-panel")?.getBoundingClientRect();
  for (const view of drawn) {
    const node = view.place.querySelector(".hx-chosen");
    if (node && over) {
      view.reveal(node, Math.max(0, view.picture.getBoundingClientRect().right - over.left));
    }
  }
}

function plots() {
  const waiting = document.querySelectorAll("[data-plot]:not([data-drawn])");
  if (waiting.length) {
    import("/assets/plots.js").then(({ drawPlots }) => drawPlots(waiting));
  }
}

const lengthOf = (seconds) => (seconds < 1 ? seconds.toFixed(2) : seconds.toFixed(seconds < 100 ? 1 : 0));

// What is left goes down between two looks, though not below what has not begun.
function count() {
  const place = document.querySelector("[data-left]");
  if (place) {
    place.since ??= performance.now();
    const [left, waiting, total] = ["left", "waiting", "total"].map((name) => Number(place.dataset[name]));
    const now = Math.max(waiting, left - (performance.now() - place.since) / 1000);
    place.querySelector("progress").value = total > 0 ? 1 - now / total : 1;
    if (left >= 0.05) { // else the page says what is known
      place.querySelector(".left").textContent = now < 0.05 ? "ending" : `about ${lengthOf(now)} s left`;
    }
  }
}

// Asks how far a running iteration is, and puts the page as it is now in place of the old one whenever that is not what
// the page shows; not while somebody types.
async function follow() {
  for (let place; (place = document.querySelector("[data-live]")); ) {
    await pause(1000);
    count();
    if (document.hidden || typing()) {
      continue;
    }
    try {
      if ((await asked(place.dataset.live)) !== place.dataset.state) {
        const page = new DOMParser().parseFromString(await asked(location.href), "text/html");
        if (!typing()) {
          renew(document.querySelector("main"), page.querySelector("main"));
        }
      }
    } catch {
      await pause(4000); // the server was stopped, or cannot read its catalog right now; it may come back
    }
  }
}

graphs();
plots();
panels(() => {
  besidePanel();
  plots();
});
follow();
