// In an export: marks the box of the node that is open, draws the plots of what is seen, and closes by Escape. All of it
// can be read without.

let opener = null;

function shown() {
  const open = document.querySelector(".hx-panel:target");
  const boxes = open ? open.closest(".page").querySelectorAll("a.hx-node") : [];
  const chosen = [...boxes].find((box) => box.getAttribute("href") === location.hash) ?? null;
  opener?.classList.remove("hx-chosen");
  chosen?.classList.add("hx-chosen");
  if (!open && document.querySelector(".hx-closed:target")) {
    opener?.focus({ preventScroll: true });
  }
  opener = chosen;
  drawPlots([...document.querySelectorAll("[data-plot]:not([data-drawn])")].filter((figure) => figure.offsetParent));
}

addEventListener("hashchange", shown);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    document.querySelector(".hx-panel:target .hx-panel-bar a")?.click();
  }
});
addEventListener("load", shown); // before, the place that the address names is not shown yet
