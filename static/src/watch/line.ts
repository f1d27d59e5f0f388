// A line of an app's log, as the API tells it.

export interface Line {
  id: string; // its place in the log
  at: string;
  version: number;
  source: string; // "app", or "steadyd" for the platform's own
  text: string;
}
