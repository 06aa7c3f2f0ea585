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

// Asks how far a running iteration is, and puts the page as it is now in place of the old one whenever that changed.
async function follow() {
  let seen = null;
  for (let place; (place = document.querySelector("[data-live]")); ) {
    await pause(1000);
    if (document.hidden) {
      continue;
    }
    try {
      const now = await (await fetch(place.dataset.live)).text();
      if (now !== seen) {
        const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
        document.querySelector("main").replaceWith(page.querySelector("main"));
        document.querySelectorAll(".graph svg.hx-graph").forEach(lineage);
        seen = now;
      }
    } catch {
      await pause(4000); // the server was stopped; it may come back
    }
  }
}

document.querySelectorAll(".graph svg.hx-graph").forEach(lineage);
follow();
