// One image, one model, one attack: what the network says of it, what the guard adds, and what is proven.

import { attackImage, examples, Failed, predictImages } from "./api.js";
import { Pad } from "./pad.js";
import { Square } from "./square.js";
import { down, ofLevels, onLanguage, t } from "./text.js";
import { drawImage, el, picture, segments } from "./view.js";
import { drawCertificate, drawGuard, drawProbabilities, drawTrio, modelName, verdict } from "./readouts.js";

const BUDGET = 300, SHOWN = 12, WAIT = 120, MOST_EPS = 0.5;
const $ = (id) => document.getElementById(id);

export class Lab {
  constructor(models, demo) {
    this.models = models;
    this.demo = demo;
    this.state = {
      model: models[0], guard: !demo, attack: demo ? "pgd" : "none", eps: 0.15, image: null, truth: null, example: null,
    };
    this.result = null;
    this.number = 0;
    this.listeners = [];
  }

  async start() {
    $("lab").hidden = false;
    this.pad = new Pad($("pad"), (pad) => this.drawn(pad));
    $("clear").addEventListener("click", () => this.pad.clear());
    $("file").addEventListener("change", (event) => this.open(event.target.files[0]));
    this.catchDrops();
    $("model").addEventListener("change", (event) => {
      this.state.model = this.models.find((model) => model.task === event.target.value);
      this.controls();
      this.refresh();
    });
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    $("eps").addEventListener("input", (event) => {
      this.state.eps = Number(event.target.value);
      this.showEps();
      this.later();
    });
    $("more").addEventListener("click", () => this.strip(this.first + SHOWN));
    onLanguage(() => { this.controls(); this.strip(this.first); this.show(); });
    await this.load();
    this.controls();
    this.strip(0);
    this.pick(0);
  }

  // The zoo's test images where the demo has them, else the example beside each bundle.
  async load() {
    if (this.demo) this.examples = await examples(this.demo);
    else {
      this.examples = this.models.filter((model) => model.example).map((model) =>
        ({ label: null, image: Float32Array.from(model.example.flat(2)), model }));
    }
    $("examples").hidden = !this.examples.length;
    this.first = 0;
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  fits(example) {
    return !example.model || example.model === this.state.model;
  }

  strip(first) {
    if (!this.examples) return;
    this.first = first >= this.examples.length ? 0 : first;
    const shown = this.examples.map((example, index) => ({ ...example, index })).slice(this.first, this.first + SHOWN);
    $("more").hidden = this.examples.length <= SHOWN;
    $("strip").replaceChildren(...shown.filter((each) => this.fits(each)).map(({ image, label, index }) => {
      const canvas = picture(this.state.model.shape);
      drawImage(canvas, image);
      const name = label === null ? t("image") : t("example", { index: index + 1, label });
      return el("button", {
        type: "button", class: "thumb", "aria-label": name, "aria-pressed": String(index === this.state.example),
        onclick: () => this.pick(index),
      }, canvas);
    }));
  }

  pick(index) {
    const example = this.examples[index];
    if (!example || !this.fits(example)) return;
    Object.assign(this.state, { image: example.image, truth: example.label === null ? null : String(example.label), example: index });
    this.pad.show(example.image, this.state.model.shape);
    this.strip(this.first);
    this.refresh();
  }

  drawn(pad) {
    Object.assign(this.state, { image: pad ? pad.read(this.state.model.shape) : null, truth: null, example: null });
    this.strip(this.first);
    this.refresh();
  }

  async open(file) {
    if (!file) return;
    try {
      const inverted = await this.pad.open(file);
      this.trouble(inverted ? t("inverted") : "");
    } catch {
      this.trouble(t("badFile"));
    }
  }

  catchDrops() {
    for (const name of ["dragover", "drop"]) {
      window.addEventListener(name, (event) => {
        event.preventDefault();
        if (name === "drop") this.open(event.dataTransfer.files[0]);
      });
    }
  }

  controls() {
    const { model, guard, attack } = this.state;
    if (!model) return;
    $("model").replaceChildren(...this.models.map((each) =>
      el("option", { value: each.task, selected: each === model }, modelName(each))));
    $("model-note").textContent = [
      t(`note-${model.task}`) === `note-${model.task}` ? "" : t(`note-${model.task}`),
      model.served && model.threat ? t("served", { threat: model.threat }) : "",
    ].filter(Boolean).join(" ");
    const set = (name) => (value) => {
      this.state[name] = name === "guard" ? value === "on" : value;
      this.limits();
      this.refresh();
    };
    $("defense").replaceChildren(...segments("defense", [
      { value: "off", text: t("off"), disabled: !this.demo, title: this.demo ? null : t("noOff") },
      { value: "on", text: t("on") },
    ], guard ? "on" : "off", set("guard")));
    $("attack").replaceChildren(...segments("attack", ["none", "fgsm", "pgd", "square"].map((value) => {
      const missing = !this.demo && (value === "fgsm" || value === "pgd");
      return { value, text: t(value), disabled: missing, title: missing ? t("noGradients") : null };
    }), attack, set("attack")));
    this.limits();
    this.showEps();
  }

  // What this attacker and this service cannot do.
  limits() {
    const limits = this.demo ? (this.state.guard ? t("adaptive") : "") : `${t("noOff")} ${t("noGradients")}`;
    $("limits").textContent = limits;
  }

  showEps() {
    const { eps } = this.state, clean = this.result?.clean;
    $("eps").value = eps;
    const said = t("epsValue", { eps: eps.toFixed(2), ...ofLevels(this.state.model, eps, Math.round) });
    $("eps-value").textContent = said;
    $("eps").setAttribute("aria-valuetext", said);
    const proven = clean?.certified?.eps ?? 0;
    $("zone").parentElement.classList.toggle("none", proven < 0.01);
    $("zone").style.width = `${(100 * Math.min(proven, MOST_EPS)) / MOST_EPS}%`;
    $("eps-note").textContent = clean ? (proven >= 0.01 ? t("epsCertified", { eps: down(proven) }) : t("epsUncertified")) : "";
    for (const listener of this.listeners) listener(this.state);
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), WAIT);
  }

  // Ask and attack anew; an answer to a question that was overtaken is dropped.
  async refresh() {
    clearTimeout(this.timer);
    const number = (this.number += 1), state = { ...this.state };
    for (const listener of this.listeners) listener(this.state);
    if (!state.image || !state.model) {
      this.result = null;
      this.show();
      return;
    }
    $("verdict").textContent = t(state.attack === "none" ? "asking" : "working");
    $("verdict").className = "verdict busy";
    try {
      const [clean] = await predictImages(state.model, state.guard, [state.image], "radius");
      const truth = state.truth ?? clean.label;
      const overtaken = () => number !== this.number;
      if (overtaken()) return;
      const found = await this.attacked(state, truth, overtaken);
      if (overtaken()) return;
      this.result = { ...state, truth, clean, ...found };
      this.trouble("");
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      if (number !== this.number) return;
      this.result = null;
      this.trouble(error.message);
    }
    this.show();
  }

  async attacked({ model, guard, attack, eps, image }, truth, overtaken) {
    if (attack === "none") return { adversarial: null, attacked: null };
    if (attack === "square") return this.squared({ model, guard, eps, image }, truth, overtaken);
    const adversarial = await attackImage(model, guard, attack, eps, image, model.labels.indexOf(truth));
    const [attacked] = await predictImages(model, guard, [adversarial]);
    return { adversarial, attacked };
  }

  async squared({ model, guard, eps, image }, truth, overtaken) {
    const ask = (images) => predictImages(model, guard, images);
    const search = new Square({ ask, images: [image], truths: [truth], eps, budget: BUDGET, shape: model.shape });
    while (!search.done && !overtaken()) {
      await search.advance();
      const { queries } = search.found[0];
      if (!overtaken()) $("verdict").textContent = t("queries", { queries });
    }
    const { queries, prediction } = search.found[0];
    return { adversarial: search.best[0], attacked: prediction, queries };
  }

  show() {
    const { result } = this;
    const said = result || !this.state.image ? verdict(result) : { text: "", kind: "" };
    $("results").classList.toggle("empty", !result);
    $("verdict").textContent = said.text;
    $("verdict").className = `verdict ${said.kind}`;
    $("pad").setAttribute("aria-label", t("pad"));
    drawTrio($("trio"), result);
    drawProbabilities($("probabilities"), result);
    drawCertificate($("certificate"), result);
    drawGuard($("guard"), result);
    this.showEps();
  }

  trouble(text) {
    $("trouble").textContent = text;
    $("trouble").hidden = !text;
  }
}
