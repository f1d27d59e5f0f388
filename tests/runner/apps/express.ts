import express from "express";

const app = express();
app.use(express.json());
app.get("/", (request, response) => {
  response.json({ framework: "express", client: request.ip, host: request.get("host") });
});
app.post("/echo", (request, response) => {
  response.status(201).json(request.body);
});
app.listen(3000, () => console.log("Listening on port 3000"));
