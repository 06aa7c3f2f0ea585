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

async function follow(place) {
  const pause = (ms) => new Promise((then) => setTimeout(then, ms));
  let seen = null;
  for (;;) {
    await pause(1000);
    if (document.hidden) {
      continue;
    }
    try {
      const state = await (await fetch(place.dataset.live)).json();
      const now = JSON.stringify(state);
      if (seen !== null && now !== seen) {
        location.reload();
        return;
      }
      seen = now;
    } catch {
      await pause(4000); // the server was stopped; it may come back
    }
  }
}

for (const picture of document.querySelectorAll(".graph svg.hx-graph")) {
  lineage(picture);
}
for (const place of document.querySelectorAll("[data-live]")) {
  follow(place);
}
