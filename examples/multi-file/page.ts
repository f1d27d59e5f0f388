const list = document.querySelector("#times")!;

async function show() {
  const times: { name: string; time: string }[] = await (await fetch("/api/times")).json();
  list.replaceChildren(
    ...times.map(({ name, time }) => {
      const item = document.createElement("li");
      item.textContent = `${name}: ${time}`;
      return item;
    }),
  );
}

await show();
setInterval(show, 1000);
