// A node beside the page that names it: state, why, code, seconds and a preview, without leaving. It is the node's own
// page, so there is nothing else to know; its address is kept in that of this page, to be shared and found again.

const KEPT = "#panel=";
let [opener, asked] = [null, 0];

const panel = () => document.querySelector(".hx-panel");

const nodeAddress = (link) => {
  const address = link && new URL(link.getAttribute("href"), location.href);
  return address?.origin === location.origin && address.pathname === "/node" ? address.search : null;
};

function remember(search) {
  history.replaceState(history.state, "", search === null ? location.pathname + location.search : KEPT + encodeURIComponent(search));
}

function shell() {
  const made = document.createElement("aside");
  made.className = "hx-panel";
  made.tabIndex = -1;
  made.setAttribute("role", "dialog");
  const bar = document.createElement("p");
  bar.className = "hx-panel-bar";
  const whole = Object.assign(document.createElement("a"), { textContent: "Open as a page", className: "hx-panel-page" });
  const shut = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
  shut.addEventListener("click", close);
  bar.append(whole, shut);
  made.append(bar, Object.assign(document.createElement("div"), { className: "hx-panel-body" }));
  document.body.append(made);
  return made;
}

function mark(search) {
  const name = search === null ? null : new URLSearchParams(search).get("node");
  for (const node of document.querySelectorAll(".hx-node")) {
    node.classList.toggle("hx-chosen", node.dataset.node === name);
  }
  return name;
}

export function close() {
  if (panel()) {
    panel().remove();
    document.body.classList.remove("hx-beside");
    mark(null);
    remember(null);
    opener?.isConnected && opener.focus({ preventScroll: true });
  }
}

async function open(search, shown) {
  const turn = (asked += 1);
  const answer = await fetch(`/node${search}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (turn !== asked) {
    return; // another one was asked for meanwhile
  }
  const place = panel() ?? shell();
  place.querySelector(".hx-panel-page").href = `/node${search}`;
  place.querySelector(".hx-panel-body").replaceChildren(...page.querySelector("main").childNodes);
  place.setAttribute("aria-label", `node ${mark(search)}`);
  document.body.classList.add("hx-beside");
  place.scrollTop = 0;
  place.focus({ preventScroll: true });
  remember(search);
  shown();
}

// shown: what is to happen when a node was opened; it is named by the class hx-chosen.
export function panels(shown) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("main a[href], .hx-panel-body a[href]");
    const search = nodeAddress(link);
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (search === null || !plain || event.defaultPrevented || location.pathname === "/node") {
      return;
    }
    event.preventDefault();
    opener = panel()?.contains(link) ? opener : link;
    open(search, shown).catch(() => location.assign(link.href)); // the page itself says what is wrong
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && panel() && !event.defaultPrevented) {
      close();
    }
  });
  if (location.hash.startsWith(KEPT) && location.pathname !== "/node") {
    open(decodeURIComponent(location.hash.slice(KEPT.length)), shown).catch(() => remember(null));
  }
}

// After a page was renewed.
export const remarked = () => panel() && mark(location.hash.startsWith(KEPT) ? decodeURIComponent(location.hash.slice(KEPT.length)) : null);
