// A narrower range: drag over a chart.

import { all } from "../lib/dom";
import { stamp, timeAt } from "./words";

const SHORTEST_SECONDS = 300;
const DRAGGED_PIXELS = 6;

export function zoom(root: ParentNode): void {
  for (const charts of all("[data-charts]", root)) {
    const { charts: address = "", start = "", end = "" } = charts.dataset;
    for (const plot of all<SVGSVGElement>(".plot", charts)) watch(plot, address, Number(start), Number(end));
  }
}

function watch(plot: SVGSVGElement, address: string, start: number, end: number): void {
  let from: number | null = null;
  const chosen = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  chosen.classList.add("chosen");
  const share = (event: PointerEvent) => {
    const box = plot.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  const dragged = (to: number) => from !== null && Math.abs(to - from) * plot.getBoundingClientRect().width >= DRAGGED_PIXELS;

  plot.addEventListener("dragstart", (event) => event.preventDefault());
  plot.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch") from = share(event);
  });
  plot.addEventListener("pointermove", (event) => {
    const to = share(event);
    if (from === null || !dragged(to)) return;
    if (!chosen.isConnected) {
      plot.append(chosen);
      plot.setPointerCapture(event.pointerId);
    }
    chosen.setAttribute("x", `${Math.min(from, to) * 100}%`);
    chosen.setAttribute("width", `${Math.abs(to - from) * 100}%`);
    chosen.setAttribute("height", "120");
  });
  plot.addEventListener("pointerup", (event) => {
    const to = share(event);
    if (from === null || !chosen.isConnected) return void (from = null);
    const [first, last] = [timeAt(Math.min(from, to), start, end), timeAt(Math.max(from, to), start, end)];
    const middle = (first + last) / 2;
    const half = Math.max(last - first, SHORTEST_SECONDS) / 2;
    const until = Math.min(Math.max(middle + half, start + SHORTEST_SECONDS), end);
    location.assign(`${address}?${new URLSearchParams({ from: stamp(until - 2 * half), to: stamp(until) })}`);
  });
  plot.addEventListener("pointercancel", () => {
    from = null;
    chosen.remove();
  });
  // A drag ends on a bar, which is a link.
  plot.addEventListener("click", (event) => {
    if (chosen.isConnected) event.preventDefault();
  }, true);
}
