// The desk of the Code page and of the home page.

import { startDesk } from "./editor/start";

const root = document.querySelector<HTMLElement>("[data-desk]");
if (root) startDesk(root);
