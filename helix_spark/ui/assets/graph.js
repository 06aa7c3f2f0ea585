// Graphs that fit their place: zoomed, panned and searched; what has a part in it is in view first. Without scripts a
// graph is as large as it is, and its place scrolls.

const READABLE = 0.62; // a picture that has to be smaller than this to fit begins with its most telling part
const MOST = 2.5;
const TELLING = [".hx-failed, .hx-died", ".hx-edited, .hx-changed, .hx-added, .hx-removed", ".hx-running", ".hx-compute", ".hx-output"];

const views = new Map(); // what a person did to a graph, by its label: it outlives the page's renewal

const within = (value, low, high) => Math.min(Math.max(value, low), high);

function bounds(nodes) {
  const boxes = nodes.map((node) => node.querySelector(".hx-box:not(.hx-behind)")).map((box) =>
    ["x", "y", "width", "height"].map((name) => Number(box.getAttribute(name))));
  const left = Math.min(...boxes.map(([x]) => x));
  const top = Math.min(...boxes.map(([, y]) => y));
  return {
    left, top,
    width: Math.max(...boxes.map(([x, , width]) => x + width)) - left,
    height: Math.max(...boxes.map(([, y, , height]) => y + height)) - top,
  };
}

// The part of a picture that is seen: where it begins, and how large a pixel of it is.
class View {
  constructor(place, picture) {
    [this.place, this.picture] = [place, picture];
    [this.whole, this.tall] = ["width", "height"].map((name) => Number(picture.getAttribute(name)));
    this.nodes = [...picture.querySelectorAll(".hx-node")];
    this.memory = views.get(place.ariaLabel) ?? { moved: false, find: "" };
    views.set(place.ariaLabel, this.memory);
    place.classList.add("hx-view");
    picture.setAttribute("width", "100%");
    picture.setAttribute("height", "100%");
    this.resize();
  }

  resize() {
    const scale = within((this.place.clientWidth - 20) / this.whole, READABLE, 1);
    this.place.style.height = `${within(this.tall * scale + 22, 96, Math.max(260, innerHeight * 0.72))}px`;
    if (this.memory.moved) {
      this.show(this.memory);
    } else {
      this.begin();
    }
  }

  get room() {
    return [this.picture.clientWidth || this.place.clientWidth - 20, this.picture.clientHeight || this.place.clientHeight - 20];
  }

  begin() {
    const [wide, high] = this.room;
    if (Math.min(wide / this.whole, high / this.tall) >= READABLE) {
      this.fit();
      return;
    }
    const telling = TELLING.map((states) => this.nodes.filter((node) => node.matches(states))).filter((found) => found.length);
    if (!telling.length) {
      this.show({ x: 0, y: 0, scale: within(wide / this.whole, READABLE, 1) });
      return;
    }
    // As much of what is telling as can be read at once, the most telling first.
    let seen = bounds(telling[0].slice(0, 1));
    const all = telling.flat();
    for (let count = all.length; count; count -= 1) {
      const box = bounds(all.slice(0, count));
      if (Math.min(wide / (box.width + 24), high / (box.height + 24)) >= READABLE) {
        seen = box;
        break;
      }
    }
    this.look(seen, within(Math.min(wide / (seen.width + 24), high / (seen.height + 24)), READABLE, 1));
  }

  look({ left, top, width, height }, scale) {
    const [wide, high] = this.room;
    this.show({ x: left + width / 2 - wide / scale / 2, y: top + height / 2 - high / scale / 2, scale });
  }

  fit() {
    const [wide, high] = this.room;
    const scale = Math.min(wide / this.whole, high / this.tall, 1);
    this.look({ left: 0, top: 0, width: this.whole, height: this.tall }, scale);
  }

  // What is smaller than its place stands in the middle of it; what is larger does not leave it.
  show({ x, y, scale }) {
    const [wide, high] = this.room;
    const kept = (at, size, room) => (size * scale <= room ? (size - room / scale) / 2 : within(at, -40 / scale, size - room / scale + 40 / scale));
    Object.assign(this.memory, { x: kept(x, this.whole, wide), y: kept(y, this.tall, high), scale });
    this.due ??= requestAnimationFrame(() => {
      this.due = undefined;
      const [width, height] = this.room;
      const { x: left, y: top, scale: size } = this.memory;
      this.picture.setAttribute("viewBox", `${left} ${top} ${width / size} ${height / size}`);
    });
  }

  pan(right, down) {
    const { x, y, scale } = this.memory;
    this.memory.moved = true;
    this.show({ x: x - right / scale, y: y - down / scale, scale });
  }

  // What is under this point of the place stays there.
  zoom(factor, at = this.room.map((size) => size / 2)) {
    const { x, y, scale } = this.memory;
    const [wide, high] = this.room;
    const least = Math.min(READABLE, wide / this.whole, high / this.tall);
    const next = within(scale * factor, least, MOST);
    this.memory.moved = true;
    this.show({ x: x + at[0] / scale - at[0] / next, y: y + at[1] / scale - at[1] / next, scale: next });
  }

  // Brings a node into what is seen, left of what covers the right of it.
  reveal(node, covered = 0) {
    const box = bounds([node]);
    const { x, y, scale } = this.memory;
    const [wide, high] = this.room;
    const [right, low] = [(wide - covered) / scale, high / scale];
    const outside = box.left < x || box.left + box.width > x + right || box.top < y || box.top + box.height > y + low;
    if (outside) {
      this.memory.moved = true;
      this.show({ x: box.left + box.width / 2 - right / 2, y: box.top + box.height / 2 - low / 2, scale: Math.max(scale, READABLE) });
    }
  }
}

function point(view, event) {
  const { left, top } = view.picture.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

function moved(view) {
  const fingers = new Map();
  let dragged = false;
  view.place.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      view.zoom(Math.exp(-within(event.deltaY, -60, 60) / 120), point(view, event));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      view.pan(-(event.deltaX || event.deltaY), 0);
    }
  }, { passive: false });
  view.place.addEventListener("pointerdown", (event) => {
    if (event.button === 0) {
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      dragged = false;
    }
  });
  addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before || !view.place.isConnected) {
      return;
    }
    const [right, down] = [event.clientX - before[0], event.clientY - before[1]];
    if (!dragged && Math.hypot(right, down) < 5) {
      return;
    }
    dragged = true;
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (other) {
      const [was, is] = [before, [event.clientX, event.clientY]].map(([x, y]) => Math.hypot(x - other[0], y - other[1]));
      view.zoom(is / Math.max(was, 1), point(view, { clientX: other[0], clientY: other[1] }));
    } else {
      view.place.classList.add("hx-held");
      view.pan(right, event.pointerType === "touch" ? 0 : down);
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      view.place.classList.remove("hx-held");
    });
  }
  view.place.addEventListener("dragstart", (event) => event.preventDefault());
  view.place.addEventListener("click", (event) => {
    if (dragged) { // letting go of a box is no click on it
      event.preventDefault();
      event.stopImmediatePropagation();
      dragged = false;
    }
  }, { capture: true });
  view.place.addEventListener("keydown", (event) => {
    const does = {
      ArrowLeft: () => view.pan(60, 0), ArrowRight: () => view.pan(-60, 0), ArrowUp: () => view.pan(0, 60),
      ArrowDown: () => view.pan(0, -60), "+": () => view.zoom(1.25), "=": () => view.zoom(1.25),
      "-": () => view.zoom(0.8), 0: () => view.fit(),
    }[event.key];
    if (does && event.target === view.place && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      does();
    }
  });
  view.place.addEventListener("focusin", ({ target }) => {
    const node = target.closest(".hx-node");
    if (node && target.matches(":focus-visible")) {
      view.reveal(node);
    }
  });
}

function button(text, told, does) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", textContent: text, title: told, ariaLabel: told, onclick: does });
  return made;
}

// Marks what is found while somebody types; Enter goes from one to the next.
function search(view) {
  const label = document.createElement("label");
  const field = Object.assign(document.createElement("input"), { type: "search", placeholder: "Find a node", value: view.memory.find });
  field.setAttribute("aria-label", "Find a node in the graph");
  const told = Object.assign(document.createElement("span"), { className: "faint" });
  told.setAttribute("aria-live", "polite");
  let [found, at] = [[], -1];
  const find = () => {
    const wanted = field.value.trim().toLowerCase();
    view.memory.find = field.value;
    const named = ({ dataset, firstElementChild }) => `${dataset.node} ${firstElementChild.textContent.split(";")[0]}`;
    found = wanted ? view.nodes.filter((node) => named(node).toLowerCase().includes(wanted)) : [];
    at = -1;
    view.nodes.forEach((node) => node.classList.toggle("hx-found", found.includes(node)));
    told.textContent = wanted ? `${found.length} found` : "";
  };
  const next = () => {
    at = (at + 1) % found.length;
    view.reveal(found[at]);
    told.textContent = `${at + 1} of ${found.length}`;
  };
  field.addEventListener("input", find);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found.length) {
      event.preventDefault();
      next();
    }
  });
  label.append(field, told);
  find();
  return label;
}

export function fitted(place) {
  const picture = place.querySelector("svg.hx-graph");
  if (!picture?.querySelector(".hx-node") || place.matches(".hx-view") || !place.clientWidth) {
    return undefined;
  }
  const view = new View(place, picture);
  moved(view);
  const tools = Object.assign(document.createElement("div"), { className: "hx-tools" });
  const group = Object.assign(document.createElement("span"), { className: "hx-zoom" });
  group.append(
    button("−", "Zoom out", () => view.zoom(0.8)), button("+", "Zoom in", () => view.zoom(1.25)),
    button("Fit", "Fit the whole graph", () => { view.memory.moved = true; view.fit(); }),
  );
  tools.append(group, search(view));
  place.before(tools);
  new ResizeObserver(() => view.resize()).observe(place.parentElement);
  return view;
}
