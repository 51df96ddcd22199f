// The drawing pad: mouse, finger, keyboard, or a picture; what it holds as the model's input.

const SIDE = 280, PEN = 22, STEP = 8;
// Of a digit in the training set's frame: the longer side, as a share of the frame (LeCun et al. 1998).
const INK = 20 / 28;

export class Pad {
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.onChange = onChange;
    this.pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    this.foreign = false;
    this.last = null;
    this.clear(false);
    this.listen();
  }

  clear(tell = true) {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, SIDE, SIDE);
    this.foreign = false;
    if (tell) this.onChange(null);
  }

  // A ready input, such as a test image: it is drawn over by the next stroke.
  show(image, [height, width]) {
    const small = new OffscreenCanvas(width, height), context = small.getContext("2d");
    const data = context.createImageData(width, height);
    image.forEach((value, place) => data.data.set([255 * value, 255 * value, 255 * value, 255], 4 * place));
    context.putImageData(data, 0, 0);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, 0, 0, SIDE, SIDE);
    this.foreign = true;
  }

  // A picture of the user's; returns whether it was inverted. Throws where the browser cannot read it.
  async open(file) {
    const bitmap = await createImageBitmap(file);
    this.clear(false);
    const share = Math.min(SIDE / bitmap.width, SIDE / bitmap.height);
    const width = bitmap.width * share, height = bitmap.height * share;
    const box = [(SIDE - width) / 2, (SIDE - height) / 2, width, height].map(Math.round);
    this.context.imageSmoothingEnabled = true;
    this.context.drawImage(bitmap, ...box);
    const data = this.context.getImageData(...box), inverted = edge(data) > 0.5;
    for (let place = 0; place < data.data.length; place += 4) {
      const grey = brightness(data.data, place), value = 255 * (inverted ? 1 - grey : grey);
      data.data.set([value, value, value, 255], place);
    }
    this.context.putImageData(data, box[0], box[1]);
    this.foreign = true;
    this.onChange(this);
    return inverted;
  }

  // The ink, scaled and centred by its mass as the training set's digits are; null of an empty pad.
  read([height, width]) {
    const data = this.context.getImageData(0, 0, SIDE, SIDE).data;
    let top = SIDE, left = SIDE, bottom = -1, right = -1, mass = 0, rows = 0, columns = 0;
    for (let place = 0; place < SIDE * SIDE; place += 1) {
      const value = data[4 * place];
      if (value < 48) continue;
      const row = Math.floor(place / SIDE), column = place % SIDE;
      top = Math.min(top, row); bottom = Math.max(bottom, row);
      left = Math.min(left, column); right = Math.max(right, column);
      mass += value; rows += value * row; columns += value * column;
    }
    if (bottom < 0) return null;
    const longer = Math.max(bottom - top, right - left) + 1, share = (INK * SIDE) / longer;
    const frame = new OffscreenCanvas(SIDE, SIDE), context = frame.getContext("2d");
    context.fillRect(0, 0, SIDE, SIDE);
    context.setTransform(share, 0, 0, share, SIDE / 2 - (share * columns) / mass, SIDE / 2 - (share * rows) / mass);
    context.drawImage(this.canvas, 0, 0);
    return average(context.getImageData(0, 0, SIDE, SIDE).data, height, width);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.begin();
      this.last = this.at(event);
      this.stroke(this.last, this.last);
      event.preventDefault();
      canvas.focus();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      const next = this.at(event);
      this.stroke(this.last, next);
      this.last = next;
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => {
        if (this.last) this.onChange(this);
        this.last = null;
      });
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["dragenter", "dragover"]) canvas.addEventListener(name, (event) => event.preventDefault());
  }

  key(event) {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else if (event.key === " ") this.pen.down = !this.pen.down;
    else if (!(event.key in moves)) return;
    event.preventDefault();
    const [right, down] = moves[event.key] ?? [0, 0], from = { ...this.pen };
    this.pen.x = Math.min(SIDE, Math.max(0, this.pen.x + right));
    this.pen.y = Math.min(SIDE, Math.max(0, this.pen.y + down));
    if (!this.pen.down || event.key === "Delete" || event.key === "Backspace") return;
    this.begin();
    this.stroke(from, this.pen);
    this.onChange(this);
  }

  begin() {
    if (this.foreign) this.clear(false);
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * SIDE) / box.width, y: ((event.clientY - box.top) * SIDE) / box.height };
  }

  stroke(from, to) {
    const context = this.context;
    Object.assign(context, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  }
}

const brightness = (data, place) => (0.299 * data[place] + 0.587 * data[place + 1] + 0.114 * data[place + 2]) / 255;

// Mean brightness along the border: paper is bright, the training set's ground is black.
function edge({ data, width, height }) {
  let sum = 0, count = 0;
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += row === 0 || row === height - 1 ? 1 : Math.max(1, width - 1)) {
      sum += brightness(data, 4 * (row * width + column));
      count += 1;
    }
  }
  return count ? sum / count : 0;
}

function average(data, height, width) {
  const image = new Float32Array(height * width);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const top = Math.floor((row * SIDE) / height), bottom = Math.floor(((row + 1) * SIDE) / height);
      const left = Math.floor((column * SIDE) / width), right = Math.floor(((column + 1) * SIDE) / width);
      let sum = 0;
      for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1) sum += data[4 * (y * SIDE + x)];
      image[row * width + column] = Math.round(sum / ((bottom - top) * (right - left))) / 255;
    }
  }
  return image;
}
