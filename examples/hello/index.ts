// A whole app: a default export with a `fetch` method. Change the words, save, and reload the page.
export default {
  fetch(request: Request) {
    return new Response(`Hello from ${new URL(request.url).hostname}\n`);
  },
};
