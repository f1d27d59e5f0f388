// The list of what became of an app, live: operations step by step, and what happens while one looks.

import { following } from "./activity/following";
import { one } from "./lib/dom";

const list = document.querySelector<HTMLElement>("[data-activity]");
if (list) following(list, one("[data-app]").dataset["app"]!);
