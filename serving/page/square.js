// Square attack (Andriushchenko et al., arXiv 1912.00049), L-inf, on scores alone; many images at once.

// Shares of the budget after each of which the squares' area halves.
const HALVINGS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8];
const AREA = 0.8;

export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// How far the true class leads: log-probability less the largest other one; negative where the answer is wrong.
export function lead(prediction, truth) {
  let own = -Infinity, other = -Infinity;
  for (const [label, share] of Object.entries(prediction.probabilities)) {
    const score = Math.log(Math.max(share, 1e-30));
    if (label === truth) own = score;
    else other = Math.max(other, score);
  }
  return own - other;
}

const clip = (value) => Math.min(1, Math.max(0, value));

export class Square {
  // ask: images -> predictions, one query each; truths: the label of each image.
  constructor({ ask, images, truths, eps, budget, shape, seed = 20 }) {
    Object.assign(this, { ask, truths, eps, budget, height: shape[0], width: shape[1] });
    this.random = generator(seed);
    this.clean = images;
    this.best = images.map((image) => image);
    this.found = images.map(() => ({ queries: 0, lead: Infinity, fooled: false, prediction: null }));
    this.step = 0;
  }

  get active() {
    return this.found.flatMap((each, index) => (each.fooled || each.queries >= this.budget ? [] : [index]));
  }

  get done() {
    return this.active.length === 0;
  }

  // One query for every image that still stands; an answer that is wrong is asked for again, as a guard draws anew.
  async advance() {
    const active = this.active;
    const tries = active.map((index) => (this.step < 2 ? this.begin(index) : this.propose(index)));
    const answers = await this.ask(tries);
    const doubtful = [];
    active.forEach((index, place) => {
      const found = this.found[index];
      const margin = lead(answers[place], this.truths[index]);
      found.queries += 1;
      if (this.step === 0 || margin < found.lead) {
        found.lead = margin;
        found.prediction = answers[place];
        this.best[index] = tries[place];
      }
      if (margin < 0) doubtful.push(index);
    });
    if (doubtful.length) {
      const again = await this.ask(doubtful.map((index) => this.best[index]));
      doubtful.forEach((index, place) => {
        const found = this.found[index];
        found.queries += 1;
        found.lead = lead(again[place], this.truths[index]);
        found.prediction = again[place];
        found.fooled = found.lead < 0;
      });
    }
    this.step += 1;
  }

  // The image itself first: what is wrong already needs no attack. Then vertical stripes.
  begin(index) {
    const clean = this.clean[index];
    if (this.step === 0) return clean;
    const signs = Array.from({ length: this.width }, () => this.sign());
    return clean.map((value, place) => clip(value + signs[place % this.width] * this.eps));
  }

  propose(index) {
    const { height, width } = this;
    const share = AREA / 2 ** HALVINGS.filter((each) => this.step > each * this.budget).length;
    const side = Math.max(1, Math.min(height, width, Math.round(Math.sqrt(share * height * width))));
    const top = Math.floor(this.random() * (height - side + 1));
    const left = Math.floor(this.random() * (width - side + 1));
    const change = this.sign() * this.eps;
    const clean = this.clean[index], next = this.best[index].slice();
    for (let row = top; row < top + side; row += 1) {
      for (let place = row * width + left; place < row * width + left + side; place += 1) {
        next[place] = clip(clean[place] + change);
      }
    }
    return next;
  }

  sign() {
    return this.random() < 0.5 ? -1 : 1;
  }
}
