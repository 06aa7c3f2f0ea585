// Draws the plots of a page by Vega-Lite, which is loaded where there is one. A specification may come from anybody: its
// expressions are interpreted, not compiled, and it loads nothing.

const PARTS = ["vega.min.js", "vega-lite.min.js", "vega-interpreter.min.js"];

function loaded(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `/assets/${name}`;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${name} was not loaded`));
    document.head.append(script);
  });
}

function closed() {
  const refuse = () => Promise.reject(new Error("a plot has its data in it, and loads none"));
  return { load: refuse, sanitize: refuse, http: refuse, file: refuse };
}

function colours() {
  const style = getComputedStyle(document.body);
  const [ink, line, accent] = ["--ink", "--line", "--accent"].map((name) => style.getPropertyValue(name).trim());
  const text = { labelColor: ink, titleColor: ink };
  return {
    aria: false, background: "transparent", title: { color: ink, anchor: "start", limit: 440 }, axis: { ...text, gridColor: line, domainColor: line, tickColor: line },
    legend: text, view: { stroke: line }, mark: { color: accent },
  };
}

async function draw(figure) {
  const place = document.createElement("div");
  figure.prepend(place);
  try {
    const made = vegaLite.compile(JSON.parse(figure.dataset.plot), { config: colours() }).spec;
    const runtime = vega.parse(made, null, { ast: true });
    const view = new vega.View(runtime, {
      container: place, expr: vega.expressionInterpreter, loader: closed(), renderer: "svg", logLevel: vega.Error,
    });
    await view.runAsync();
    const picture = place.querySelector("svg"); // its parts have no words of their own: the caption says what it is
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", figure.querySelector("figcaption").textContent);
    figure.dataset.drawn = "yes";
  } catch (error) {
    place.remove();
    figure.querySelector("figcaption").append(` (it cannot be drawn: ${error.message})`);
  }
}

let ready = null;

function parts() {
  // An export has them in itself; of those that are loaded each needs those before.
  return globalThis.vega?.expressionInterpreter ? Promise.resolve() : PARTS.reduce((before, name) => before.then(() => loaded(name)), Promise.resolve());
}

// Draws what on a page was not drawn yet.
export async function drawPlots(figures) {
  const waiting = [...figures];
  waiting.forEach((figure) => { figure.dataset.drawn = "soon"; });
  await (ready ??= parts());
  await Promise.all(waiting.map(draw));
}
