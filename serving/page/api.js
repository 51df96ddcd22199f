// The service's own endpoint, and what `make demo` adds to it.

export class Failed extends Error {}

export async function about() {
  const answer = await fetch("page.json");
  return answer.json();
}

async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Failed("the service does not answer; is it still running?");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Failed(said.error?.message ?? `status ${answer.status}`);
  return said;
}

// Pixels to four decimals: shorter bodies, and no multiple of 1/255 or of 0.01 is moved by more than that.
export const rows = (image, [height, width]) =>
  Array.from({ length: height }, (_, row) =>
    Array.from(image.subarray(row * width, (row + 1) * width), (value) => Math.round(value * 1e4) / 1e4));

// The answers for some images: the promoted model's own endpoint where the guard is on, the demo's where it is not.
export async function predictImages(model, guard, images, certify = "none") {
  const inputs = images.map((image) => rows(image, model.shape));
  const said = model.served && guard
    ? await post("predict", { task: model.task, inputs, certify })
    : await post("demo/predict", { model: model.task, guard, inputs, certify });
  return said.predictions;
}

export async function attackImage(model, guard, attack, eps, image, label) {
  const said = await post("demo/attack", {
    model: model.task, guard, attack, eps, label, input: rows(image, model.shape),
  });
  return Float32Array.from(said.x_adv.flat());
}

export async function predictRecords(task, inputs, certify) {
  return (await post("predict", { task, inputs, certify })).predictions;
}

// The test images of the zoo, each with its label.
export async function examples({ shape, labels }) {
  const bytes = new Uint8Array(await (await fetch("demo/examples")).arrayBuffer());
  const size = shape[0] * shape[1];
  return labels.map((label, index) => ({
    label,
    image: Float32Array.from(bytes.subarray(index * size, (index + 1) * size), (byte) => byte / 255),
  }));
}
