// Starts what the server says there is: images to attack, tables to ask.

import { about } from "./api.js";
import { Forms } from "./forms.js";
import { Lab } from "./lab.js";
import { Live } from "./live.js";
import { firstLanguage, onLanguage, other, setLanguage, t } from "./text.js";

// Of the demo every model, and whether the service answers for it too; else the image tasks that are served.
function models({ tasks, demo }) {
  const images = tasks.filter((task) => task.kind === "image").map((task) => ({ ...task, served: true }));
  if (!demo) return images;
  const extra = demo.models.map((model) => images.find((each) => each.digest === model.digest) ?? { ...model, served: false });
  return [...extra, ...images.filter((each) => !extra.includes(each) && String(each.shape) === String(extra[0].shape))];
}

async function main() {
  const button = document.getElementById("language");
  onLanguage(() => {
    button.textContent = other() === "zh" ? "中文" : "English";
    button.lang = other();
  });
  button.addEventListener("click", () => setLanguage(other()));
  setLanguage(firstLanguage());
  const told = await about(), found = models(told), tables = told.tasks.filter((task) => task.kind !== "image");
  if (found.length) {
    const lab = new Lab(found, told.demo);
    await lab.start();
    new Live(lab).start();
  }
  if (tables.length) new Forms(tables).start();
  if (!found.length && !tables.length) {
    const trouble = document.getElementById("trouble");
    trouble.textContent = t("nothing");
    trouble.hidden = false;
  }
  document.body.dataset.ready = "yes";
}

main();
