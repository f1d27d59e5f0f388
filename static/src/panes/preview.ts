// Nothing is here yet.

import type { Pane } from "../lib/desk";
import { make } from "../lib/dom";

const pane: Pane = (box) => box.append(make("p", { className: "hint" }, "Nothing is here yet."));
export default pane;
