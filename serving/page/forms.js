// A form per table: the example filled in, ranges shown, the answer with its certificate and what moves it.

import { Failed, predictRecords } from "./api.js";
import { whoseAnswer } from "./readouts.js";
import { down, onLanguage, percent, scored, short, t } from "./text.js";
import { bar, el, moveBar, scoreScale } from "./view.js";

const WAIT = 250, MOVERS = 8, MANY = 12;

export class Forms {
  constructor(tasks) {
    this.forms = tasks.map((task) => new TaskForm(task));
  }

  start() {
    document.getElementById("forms").hidden = false;
    const draw = () => document.getElementById("tasks").replaceChildren(...this.forms.map((form) => form.draw()));
    onLanguage(draw);
    draw();
    for (const form of this.forms) form.ask();
  }
}

class TaskForm {
  constructor(task) {
    this.task = task;
    this.example = task.example ?? Object.fromEntries(task.columns.map(({ name, kind, low, categories }) =>
      [name, kind === "category" ? categories[0] : low]));
    this.record = { ...this.example };
    this.number = 0;
    this.answer = null;
    this.trouble = "";
  }

  draw() {
    const { task } = this;
    this.result = el("div", { class: "answer", "aria-live": "polite" });
    this.fields = el("div", { class: task.columns.length > MANY ? "fields many" : "fields" },
      ...task.columns.map((column) => this.field(column)));
    const reset = el("button", { type: "button", onclick: () => this.reset() }, t("reset"));
    const form = el("form", { onsubmit: (event) => { event.preventDefault(); this.ask(); } }, this.fields,
      el("div", { class: "row" }, el("button", { class: "main" }, t("answer")), reset));
    this.show();
    return el("section", { class: "card table", "aria-label": task.task }, el("h2", {}, task.task),
      el("p", { class: "note" }, t("predicts", { target: task.target }), ". ", task.threat ? t("measured", { threat: task.threat.replaceAll("`", "") }) : ""),
      el("div", { class: "asked" }, form, this.result));
  }

  field(column) {
    const { name, kind } = column, id = `${this.task.task}-${name}`.replace(/\W+/g, "-");
    const change = (value) => { this.record[name] = value; this.later(); };
    if (kind === "category") {
      return el("label", { class: "field" }, el("span", {}, name), el("select", { id, onchange: (event) => change(event.target.value) },
        ...column.categories.map((each) => el("option", { value: each, selected: each === this.record[name] }, each))));
    }
    const step = kind === "integer" ? 1 : "any";
    const number = el("input", {
      id, type: "number", step, value: this.record[name], "aria-describedby": `${id}-range`,
      oninput: (event) => {
        if (event.target.value === "" || Number.isNaN(event.target.valueAsNumber)) return;
        slider.value = event.target.value;
        change(event.target.valueAsNumber);
      },
    });
    const slider = el("input", {
      type: "range", min: column.low, max: column.high, step: kind === "integer" ? 1 : (column.high - column.low) / 200,
      value: this.record[name], "aria-label": name,
      oninput: (event) => {
        const value = kind === "integer" ? event.target.valueAsNumber : Number(event.target.valueAsNumber.toPrecision(4));
        number.value = value;
        change(value);
      },
    });
    return el("div", { class: "field" }, el("label", { for: id }, name), number, slider,
      el("span", { class: "note", id: `${id}-range` }, t("range", { low: short(column.low), high: short(column.high) })));
  }

  reset() {
    this.record = { ...this.example };
    const old = this.fields;
    this.fields = el("div", { class: old.className }, ...this.task.columns.map((column) => this.field(column)));
    old.replaceWith(this.fields);
    this.ask();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), WAIT);
  }

  async ask() {
    clearTimeout(this.timer);
    const number = (this.number += 1), { task, record } = this, moves = this.moved(record);
    try {
      const [[answer], ends] = await Promise.all([
        predictRecords(task.task, [record], task.kind === "regression" ? "budget" : "radius"),
        moves.length ? predictRecords(task.task, moves.map((move) => move.record), "none") : [],
      ]);
      if (number !== this.number) return;
      this.answer = answer;
      this.moves = effects(task, answer, moves, ends);
      this.trouble = "";
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      if (number !== this.number) return;
      this.trouble = error.message;
    }
    this.show();
  }

  // The record with one number changed by a standard deviation, within the range of training.
  moved(record) {
    return this.task.columns.filter(({ kind, scale }) => kind !== "category" && scale > 0).flatMap(({ name, kind, low, high, scale }) =>
      [-1, 1].map((side) => {
        const end = Math.min(Math.max(record[name] + side * scale, low), high);
        return { name, side, record: { ...record, [name]: kind === "integer" ? Math.round(end) : end } };
      }));
  }

  show() {
    const { answer, task } = this;
    if (this.trouble) return this.result.replaceChildren(el("p", { class: "verdict bad" }, this.trouble));
    if (!answer) return this.result.replaceChildren(el("p", { class: "note" }, t("asking")));
    const regression = task.kind === "regression";
    const said = regression ? `${task.target} ${short(answer.value, 4)}` : `${answer.label}, ${percent(answer.probabilities[answer.label])}`;
    const limit = task.threshold, largest = regression ? Math.max(2 * limit, answer.adversarial_score) : 2;
    const told = `${t("score", { score: scored(answer.adversarial_score) })}, ${t(answer.flagged ? "flagged" : "passes")}`;
    const parts = [
      el("p", { class: `verdict ${answer.flagged ? "caught" : "good"}` }, said, " ", answer.flagged ? el("span", { class: "tag" }, t("flagged")) : ""),
      regression ? null : this.shares(),
      el("p", { class: "note" }, whoseAnswer(task)),
      el("p", { class: "certificate" }, el("strong", {}, certified(task, answer))),
      answer.outside.length ? el("p", { class: "note" }, t("outside", { names: answer.outside.join(", ") })) : "",
      el("h3", {}, t("moves")), this.drawMoves(), el("p", { class: "note" }, t("movesHow")),
      scoreScale({ scores: [{ score: answer.adversarial_score, kind: "clean" }], threshold: limit, largest, thresholdLabel: short(limit, 2), label: told }),
      el("p", { class: "note" }, `${told}. ${t("detector", { threshold: short(limit, 2) })}`),
    ];
    return this.result.replaceChildren(...parts.filter(Boolean));
  }

  shares() {
    const rows = Object.entries(this.answer.probabilities).map(([label, share]) => el("tr", { class: label === this.answer.label ? "true" : null },
      el("th", { scope: "row" }, label), el("td", { class: "wide" }, bar(share, "clean")), el("td", { class: "number" }, percent(share))));
    return el("table", { class: "shares" }, el("tbody", {}, ...rows));
  }

  drawMoves() {
    const largest = Math.max(...this.moves.flatMap(({ down, up }) => [Math.abs(down), Math.abs(up)]), 0);
    const unit = this.task.kind === "regression" ? "" : `, ${t("points")}`;
    const sign = (value) => `${value < 0 ? "−" : "+"}${short(Math.abs(value), 2)}`;
    const rows = this.moves.slice(0, MOVERS).map(({ name, down, up }) => el("tr", {}, el("th", { scope: "row" }, name),
      ...[down, up].flatMap((value, place) => [el("td", { class: "wide" }, moveBar(value, largest, place ? "up" : "down")), el("td", { class: "number" }, sign(value))])));
    const head = el("tr", {}, el("th"), el("th", { scope: "col", colspan: 2 }, t("down") + unit), el("th", { scope: "col", colspan: 2 }, t("up") + unit));
    return el("table", { class: "shares moves" }, el("thead", {}, head), el("tbody", {}, ...rows));
  }
}

function effects(task, answer, moves, ends) {
  const read = (said) => (task.kind === "regression" ? said.value - answer.value
    : 100 * (said.probabilities[answer.label] - answer.probabilities[answer.label]));
  const found = new Map();
  moves.forEach(({ name, side }, place) => {
    const each = found.get(name) ?? { name, down: 0, up: 0 };
    each[side < 0 ? "down" : "up"] = read(ends[place]);
    found.set(name, each);
  });
  const size = ({ down, up }) => Math.max(Math.abs(down), Math.abs(up));
  return [...found.values()].sort((one, two) => size(two) - size(one));
}

function certified(task, answer) {
  const ball = answer.certified;
  if (task.kind === "regression") {
    return ball ? t("interval", { eps: short(ball.eps), low: short(ball.low, 4), high: short(ball.high, 4) }) : t("uncertifiedTable");
  }
  return ball?.eps >= 0.01 ? t("certifiedTable", { eps: down(ball.eps) }) : t("uncertifiedTable");
}
