// What makes every page livelier. Everything but the editor works without it.

import { copyButtons } from "./page/copies";
import { busyForms } from "./page/forms";
import { imports } from "./page/imports";
import { liveState } from "./page/state";
import { textAreas } from "./page/textareas";
import { localTimes } from "./page/times";

for (const element of document.querySelectorAll<HTMLElement>("[data-script], [data-copy]")) element.hidden = false;
localTimes(document);
copyButtons(document);
busyForms(document);
textAreas(document);
imports(document);
liveState(document);
