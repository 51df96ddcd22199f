// The page as a black-box attacker: Square on many images at once, against the endpoint with its guard and without.

import { Failed, predictImages } from "./api.js";
import { modelName } from "./readouts.js";
import { Square } from "./square.js";
import { onLanguage, t } from "./text.js";
import { drawImage, el, picture, svg } from "./view.js";

const COUNT = 16, BUDGET = 300;
const WIDTH = 460, HEIGHT = 240, LEFT = 46, BOTTOM = 206, TOP = 10, RIGHT = 440;
const $ = (id) => document.getElementById(id);

export class Live {
  constructor(lab) {
    this.lab = lab;
    this.running = false;
    this.sides = [];
  }

  start() {
    $("live").hidden = false;
    $("start").addEventListener("click", () => (this.running ? this.stop() : this.run()));
    this.lab.onChange(() => {
      if (!this.running && !this.kept(this.lab.state)) {
        this.prepare();
        this.show();
      }
      this.describe();
    });
    onLanguage(() => this.show());
    this.prepare();
    this.show();
  }

  get setting() {
    const { model, eps } = this.lab.state;
    return { model, eps };
  }

  // Whether what is shown was made for this model and eps.
  kept({ model, eps }) {
    return this.sides.length > 0 && this.model === model && this.eps === eps && (this.lab.demo || this.sides[0].curve.length > 0);
  }

  // Test images whose label is known; without any, the image that is shown.
  subjects(model) {
    const { image, truth } = this.lab.state;
    const known = this.lab.examples.filter((example) => example.label !== null).slice(0, COUNT);
    if (known.length) return known.map(({ image: x, label }) => ({ image: x, truth: String(label) }));
    const size = model.shape[0] * model.shape[1], shown = this.lab.result?.truth ?? truth;
    return image && shown && image.length === size ? [{ image, truth: shown }] : [];
  }

  // New attacks on both sides, not begun; returns whether there is anything to attack.
  prepare() {
    const { model, eps } = this.setting, subjects = this.subjects(model);
    this.model = model;
    this.eps = eps;
    this.told = () => "";
    this.sides = !subjects.length ? [] : [...(this.lab.demo ? [false] : []), true].map((guard) => ({
      guard,
      curve: [],
      search: new Square({
        ask: (images) => predictImages(model, guard, images), images: subjects.map(({ image }) => image),
        truths: subjects.map((each) => each.truth), eps, budget: BUDGET, shape: model.shape,
      }),
    }));
    return subjects.length > 0;
  }

  async run() {
    if (!this.prepare()) return;
    this.running = true;
    this.show();
    try {
      while (this.running && this.sides.some(({ search }) => !search.done)) {
        await Promise.all(this.sides.filter(({ search }) => !search.done).map(({ search }) => search.advance()));
        for (const side of this.sides) side.curve.push(this.point(side));
        this.draw();
      }
      const key = this.running ? "liveDone" : "liveStopped";
      this.told = () => t(key, { queries: this.queries });
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      this.told = () => error.message;
    }
    this.running = false;
    this.show();
  }

  stop() {
    this.running = false;
  }

  get queries() {
    return this.sides.flatMap(({ search }) => search.found).reduce((sum, { queries }) => sum + queries, 0);
  }

  point({ search }) {
    const fooled = search.found.filter((each) => each.fooled);
    const flagged = fooled.filter(({ prediction }) => prediction.flagged).length;
    return { step: search.step, fooled: fooled.length, flagged };
  }

  describe() {
    const { model, eps } = this.running ? this : this.setting;
    if (!model) return;
    const count = this.running ? this.sides[0].search.found.length : this.subjects(model).length;
    $("live-setting").textContent = t("liveSetting", { model: modelName(model), count, eps: eps.toFixed(2), budget: BUDGET });
  }

  show() {
    $("start").textContent = t(this.running ? "stop" : "start");
    $("live-status").textContent = this.told();
    this.describe();
    this.boards();
    this.draw();
  }

  boards() {
    for (const side of this.sides) {
      side.tiles = side.search.found.map(() => picture(this.model.shape));
      side.count = el("span", { class: "note" });
    }
    $("boards").replaceChildren(...this.sides.map(({ guard, tiles, count }) =>
      el("div", { class: "board" }, el("h2", { class: guard ? "guarded" : "bare" }, t(guard ? "withGuard" : "withoutGuard")),
        el("div", { class: "tiles" }, ...tiles.map((canvas) => el("div", { class: "tile" }, canvas, el("span")))), count)));
  }

  draw() {
    for (const { search, tiles, count, guard } of this.sides) {
      search.found.forEach(({ fooled, prediction }, index) => {
        drawImage(tiles[index], search.best[index]);
        const tile = tiles[index].parentNode;
        tile.className = `tile ${fooled ? (prediction.flagged ? "caught" : "fooled") : ""}`;
        tile.lastChild.textContent = fooled ? `${search.truths[index]}→${prediction.label}` : search.truths[index];
      });
      const { fooled, flagged } = this.point({ search });
      count.textContent = t(guard ? "fooledFlagged" : "fooledOf", { fooled, flagged, count: tiles.length });
    }
    if (this.running) $("live-setting").textContent = t("liveQueries", { queries: this.queries });
    $("chart").replaceChildren(this.chart());
  }

  chart() {
    const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": t("chart") });
    const total = this.sides[0]?.search.found.length ?? 1;
    const x = (step) => LEFT + ((RIGHT - LEFT) * Math.min(step, BUDGET)) / BUDGET;
    const y = (share) => BOTTOM - (BOTTOM - TOP) * share;
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      drawn.append(svg("line", { x1: LEFT, x2: RIGHT, y1: y(share), y2: y(share), class: "grid" }),
        svg("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share}%`));
    }
    for (const step of [0, 100, 200, 300]) drawn.append(svg("text", { x: x(step), y: BOTTOM + 16, "text-anchor": "middle" }, String(step)));
    drawn.append(svg("text", { x: (LEFT + RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, t("chartX")));
    const line = (curve, value, kind) => {
      if (!curve.length) return;
      const points = [`${x(0)},${y(0)}`, ...curve.map((each) => `${x(each.step)},${y(value(each) / total)}`)];
      if (!this.running) points.push(`${RIGHT},${y(value(curve.at(-1)) / total)}`);
      drawn.append(svg("polyline", { points: points.join(" "), class: `line ${kind}` }));
    };
    for (const { guard, curve } of this.sides) {
      line(curve, (each) => each.fooled, guard ? "guarded" : "bare");
      if (guard) line(curve, (each) => each.fooled - each.flagged, "unflagged");
    }
    return el("div", {}, drawn, el("p", { class: "legend" }, ...[["bare", "withoutGuard"], ["guarded", "withGuard"], ["unflagged", "unflagged"]]
      .filter(([kind]) => this.lab.demo || kind !== "bare").map(([kind, key]) => el("span", { class: `key ${kind}` }, t(key)))));
  }
}
