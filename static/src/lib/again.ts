// A request from the log, handed to the Try pane: it is sent once more when somebody presses Send there.

export interface Again { method: string; path: string; headers: [string, string][] }

const EVENT = "steady:again";
const KEPT = "steady-again";

/** Hand it over, and open the pane. */
export function sendAgain(request: Again): void {
  sessionStorage.setItem(KEPT, JSON.stringify(request)); // the pane may not have been shown yet
  document.querySelector<HTMLElement>("#pane-tab-try")?.click();
  document.dispatchEvent(new Event(EVENT));
}

/** The pane's side: take what was handed over, now and later. */
export function onAgain(then: (request: Again) => void): void {
  const take = () => {
    const kept = sessionStorage.getItem(KEPT);
    sessionStorage.removeItem(KEPT);
    if (kept) then(JSON.parse(kept) as Again);
  };
  document.addEventListener(EVENT, take);
  take();
}
