
"use strict";
// Pictures that can be moved and zoomed; without this script they are whole, and still pictures.
for (const figure of document.querySelectorAll(".viewer")) {
  const map = figure.querySelector(".map"), tip = figure.querySelector(".tip");
  const whole = map.viewBox.baseVal, W = whole.width, H = whole.height, CLOSEST = 24;
  const shapes = [...figure.querySelectorAll(".shapes path")];
  let view = {x: 0, y: 0, zoom: 1}, chosen = -1;
  const fingers = new Map();
  let start = null, moved = false;

  for (const shape of shapes) {  // a browser's own tooltips would come on top
    const title = shape.querySelector("title");
    shape.dataset.tip = title.textContent;
    shape.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  function show() {
    view.zoom = Math.min(CLOSEST, Math.max(1, view.zoom));
    view.x = Math.min(W - W / view.zoom, Math.max(0, view.x));
    view.y = Math.min(H - H / view.zoom, Math.max(0, view.y));
    map.setAttribute("viewBox", `${view.x} ${view.y} ${W / view.zoom} ${H / view.zoom}`);
    map.style.touchAction = view.zoom > 1 ? "none" : "pan-y";
  }
  function place(event) {
    const point = new DOMPoint(event.clientX, event.clientY);
    return point.matrixTransform(map.getScreenCTM().inverse());
  }
  function zoom(factor, at) {
    at = at || {x: view.x + W / view.zoom / 2, y: view.y + H / view.zoom / 2};
    const before = view.zoom;
    view.zoom = Math.min(CLOSEST, Math.max(1, before * factor));
    view.x = at.x - (at.x - view.x) * before / view.zoom;
    view.y = at.y - (at.y - view.y) * before / view.zoom;
    tell(null);
    show();
  }
  function tell(shape, x, y) {
    shapes[chosen]?.classList.remove("chosen");
    chosen = shape ? shapes.indexOf(shape) : -1;
    tip.hidden = !shape;
    if (!shape) return;
    shape.classList.add("chosen");
    tip.textContent = shape.dataset.tip;
    const frame = map.getBoundingClientRect();
    const left = Math.max(4, Math.min(x - frame.left + 14, frame.width - tip.offsetWidth - 4));
    const below = y - frame.top + 16;
    const fits = below + tip.offsetHeight < frame.height;
    tip.style.left = `${left}px`;
    tip.style.top = `${fits ? below : Math.max(4, y - frame.top - tip.offsetHeight - 10)}px`;
  }
  function visit(number) {
    if (!shapes.length) return;
    const shape = shapes[(number + shapes.length) % shapes.length], box = shape.getBBox();
    const width = box.width / 10, height = box.height / 10;
    view.zoom = Math.min(CLOSEST, Math.max(1, Math.min(W / width, H / height) / 6));
    view.x = box.x / 10 + width / 2 - W / view.zoom / 2;
    view.y = box.y / 10 + height / 2 - H / view.zoom / 2;
    figure.classList.remove("bare");
    show();
    const seen = shape.getBoundingClientRect();
    tell(shape, seen.left + seen.width / 2, seen.bottom);
  }
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return {size: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
      clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2};
  };
  map.addEventListener("wheel", (event) => {
    if (event.deltaY > 0 && view.zoom === 1) return;  // the page goes on
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), place(event));
  }, {passive: false});
  map.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    moved = fingers.size > 1;
    start = place(event);
  });
  map.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) {
      const shape = event.target.closest(".shapes path");
      if (event.pointerType === "mouse") tell(shape, event.clientX, event.clientY);
      return;
    }
    const last = fingers.get(event.pointerId);
    if (fingers.size === 2) {
      const before = spread();
      fingers.set(event.pointerId, event);
      const after = spread();
      zoom(after.size / Math.max(1, before.size), place(after));
      return;
    }
    if (!moved && Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) < 4) return;
    if (!moved) map.setPointerCapture(event.pointerId);
    moved = true;
    const here = place(event);
    view.x += start.x - here.x;
    view.y += start.y - here.y;
    tell(null);
    show();
  });
  for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (name === "pointerup" && !moved) {
      tell(event.target.closest(".shapes path"), event.clientX, event.clientY);
    }
  });
  map.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && !fingers.size) tell(null);
  });
  map.addEventListener("dblclick", (event) => zoom(2, place(event)));
  map.addEventListener("keydown", (event) => {
    const step = 0.15 / view.zoom, key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "arrowleft") view.x -= W * step;
    else if (key === "arrowright") view.x += W * step;
    else if (key === "arrowup") view.y -= H * step;
    else if (key === "arrowdown") view.y += H * step;
    else if (key === "+" || key === "=") zoom(1.5);
    else if (key === "-") zoom(1 / 1.5);
    else if (key === "0") view = {x: 0, y: 0, zoom: 1};
    else if (key === "n") return visit(chosen + 1);
    else if (key === "p") return visit(chosen < 0 ? -1 : chosen - 1);
    else if (key === "escape") return tell(null);
    else return;
    event.preventDefault();
    tell(null);
    show();
  });
  figure.querySelector(".tools").addEventListener("click", (event) => {
    const what = event.target.dataset.do;
    if (what === "in") zoom(1.5);
    else if (what === "out") zoom(1 / 1.5);
    else if (what === "all") { view = {x: 0, y: 0, zoom: 1}; tell(null); show(); }
    else if (what === "hide") {
      event.target.setAttribute("aria-pressed", String(figure.classList.toggle("bare")));
    }
  });
  window.addEventListener("beforeprint", () => { view = {x: 0, y: 0, zoom: 1}; tell(null); show(); });
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      map.scrollIntoView({block: "center"});
      visit(Number(button.dataset.show));
    });
  }
}
