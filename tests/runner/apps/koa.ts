import Koa from "koa";

const app = new Koa();
app.use(async (context) => {
  if (context.method === "POST") {
    let text = "";
    for await (const piece of context.req) text += piece;
    context.status = 201;
    context.body = JSON.parse(text);
  } else {
    context.body = { framework: "koa", client: context.ip, host: context.host };
  }
});
app.listen(3000);
