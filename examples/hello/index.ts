export default {
  fetch(request: Request) {
    return new Response(`Hello from ${new URL(request.url).hostname}\n`);
  },
};
