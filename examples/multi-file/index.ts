// Several files: a module, a JSON file and a page that Bun bundles by itself.
import cities from "./cities.json";
import { localTime } from "./lib/clock";
import page from "./page.html";

export default {
  routes: {
    "/": page,
    "/api/times": () => Response.json(cities.map((city) => ({ ...city, time: localTime(city.zone) }))),
  },
  fetch: () => new Response("Not found\n", { status: 404 }),
};
