"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const root = document.documentElement;

  function tell(error) {
    const box = document.getElementById("trouble");
    box.hidden = false;
    box.textContent = "The charts cannot be drawn by this browser: " + error;
    throw error;
  }

  function bytes(base64) {
    const text = atob(base64);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
  }

  // The drawing library travels compressed, and is unpacked by the browser itself.
  async function loadLibrary() {
    const packed = new Blob([bytes(document.getElementById("library").textContent)]);
    const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  // Matrices travel as one byte a value: 0..levels between low and high, nodata is a gap.
  function unpack(trace) {
    const meta = trace.meta || {};
    if (meta.nodata === undefined || !trace.z || trace.z.bdata === undefined) return;
    const level = new Int8Array(bytes(trace.z.bdata).buffer);
    const [rows, columns] = trace.z.shape.split(",").map(Number);
    const step = (meta.high - meta.low) / meta.levels;
    trace.z = Array.from({ length: rows }, (_, row) =>
      Float32Array.from({ length: columns }, (_, column) => {
        const value = level[row * columns + column];
        return value === meta.nodata ? NaN : meta.low + value * step;
      }));
  }

  function colour(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }

  function template() {
    const axis = {
      gridcolor: colour("--grid"), zerolinecolor: colour("--line"), linecolor: colour("--line"),
      tickcolor: colour("--line"), automargin: true, zeroline: false,
    };
    return { layout: {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 12 },
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
      xaxis: axis, yaxis: axis, hovermode: "closest",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--accent") },
    } };
  }

  function paint(figure) {
    for (const trace of figure.data) {
      if (trace.meta && trace.meta.ink) trace.line = { ...trace.line, color: colour("--ink") };
      if (trace.meta && trace.meta.rim) {
        trace.marker.line.color = colour("--card");
        // Names are read across lines.
        const rim = `0 0 2px ${colour("--card")}`;
        trace.textfont = { ...trace.textfont, shadow: [rim, rim, rim].join(", ") };
      }
    }
    return { ...figure.layout, template: template(), autosize: true };
  }

  const config = {
    responsive: true, displaylogo: false, displayModeBar: "hover",
    // Nothing of a recording may leave this page: plotly offers to upload charts by default.
    showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
  };

  async function draw(plot) {
    if (plot.classList.contains("drawn")) return;
    plot.classList.add("drawn");
    const figure = figures[plot.id];
    figure.data.forEach(unpack);
    await Plotly.newPlot(plot, figure.data, paint(figure), config);
  }

  function redraw() {
    for (const plot of plots) {
      if (plot.classList.contains("drawn")) {
        Plotly.react(plot, figures[plot.id].data, paint(figures[plot.id]), config);
      }
    }
  }

  // A page of forty charts is read from the top: draw what is near the window.
  function drawWhenSeen() {
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        draw(entry.target).catch(tell);
      }
    }, { rootMargin: "900px 0px" });
    plots.forEach((plot) => watcher.observe(plot));
    addEventListener("beforeprint", () => plots.forEach(draw));
  }

  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  let theme = 0;
  function setTheme(index) {
    theme = index;
    button.textContent = "Colours: " + themes[index];
    if (index === 0) root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", themes[index]);
    if (window.Plotly) redraw();
  }
  button.addEventListener("click", () => setTheme((theme + 1) % themes.length));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(theme));

  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (link) link.classList.toggle("here", entry.isIntersecting);
    }
  }, { rootMargin: "-30% 0px -65% 0px" });
  document.querySelectorAll("section").forEach((section) => spy.observe(section));

  // Plots in a folded part have no width until it is opened.
  document.querySelectorAll("details").forEach((part) =>
    part.addEventListener("toggle", () => dispatchEvent(new Event("resize"))));

  loadLibrary().then(drawWhenSeen).catch(tell);
})();
