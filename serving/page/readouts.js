// What is said of one result: verdict, pictures, probabilities, certificate, guard.

import { down, has, ofLevels, percent, scored, short, t } from "./text.js";
import { bar, colourScale, drawChange, drawImage, el, picture, scoreScale } from "./view.js";

// Of two distributions: the largest sum of absolute differences.
const LARGEST_SCORE = 2;

export const modelName = (model) =>
  (has(`name-${model.task}`) ? t(`name-${model.task}`) : model.task);

export function verdict(result) {
  if (!result) return { text: t("verdictEmpty"), kind: "" };
  const { clean, attacked, truth, eps } = result, proven = clean.certified?.eps ?? 0, values = { label: truth, eps: eps.toFixed(2) };
  const share = percent(clean.probabilities[clean.label]);
  if (clean.label !== truth) return { text: t("verdictWrong", { label: truth, other: clean.label }), kind: "bad" };
  if (!attacked) return { text: t("verdictClean", { label: clean.label, share }), kind: "good" };
  if (attacked.label === truth) return { text: t(proven >= eps && eps > 0 ? "verdictProven" : "verdictHolds", values), kind: "good" };
  const key = attacked.flagged ? "verdictFlagged" : "verdictFooled";
  return { text: t(key, { label: truth, other: attacked.label }), kind: attacked.flagged ? "caught" : "bad" };
}

export function drawTrio(node, result) {
  if (!result) return node.replaceChildren();
  const { model, image, adversarial, clean, attacked, eps, truth } = result;
  const parts = [frame(t("clean"), model, image, clean, truth)];
  if (adversarial) {
    const changed = picture(model.shape, t("perturbation"));
    drawChange(changed, adversarial.map((value, place) => value - image[place]), eps);
    parts.push(
      el("span", { class: "sign", "aria-hidden": "true" }, "+"),
      el("figure", {}, changed, el("figcaption", {}, el("b", {}, t("perturbation")), colourScale(eps.toFixed(2), t("scale")))),
      el("span", { class: "sign", "aria-hidden": "true" }, "="),
      frame(t("adversarial"), model, adversarial, attacked, truth),
    );
  }
  return node.replaceChildren(...parts);
}

function frame(what, model, image, said, truth) {
  const share = percent(said.probabilities[said.label]);
  const canvas = picture(model.shape, t("trio", { what, label: said.label, share }));
  drawImage(canvas, image);
  const wrong = said.label !== truth;
  return el("figure", { class: wrong ? "wrong" : "right" }, canvas,
    el("figcaption", {}, el("b", {}, what), el("span", { class: "read" }, t("isRead", { label: said.label, share })),
      said.flagged ? el("span", { class: "tag" }, t("flagged")) : null));
}

export function drawProbabilities(node, result) {
  if (!result) return node.replaceChildren();
  const { clean, attacked, truth } = result;
  const head = el("tr", {}, el("th", { scope: "col" }, t("class")),
    el("th", { scope: "col", colspan: 2 }, t("withoutAttack")),
    attacked ? el("th", { scope: "col", colspan: 2 }, t("underAttack")) : null);
  const cells = (said, kind, label) => [
    el("td", { class: "wide" }, bar(said.probabilities[label], kind)),
    el("td", { class: "number" }, percent(said.probabilities[label])),
  ];
  const rows = Object.keys(clean.probabilities).map((label) => el("tr", { class: label === truth ? "true" : null },
    el("th", { scope: "row" }, label), ...cells(clean, "clean", label),
    ...(attacked ? cells(attacked, label === truth ? "clean" : "attacked", label) : [])));
  return node.replaceChildren(el("table", { class: "shares" }, el("thead", {}, head), el("tbody", {}, ...rows)));
}

// How an answer is proven, and whose it is, by the variants of the guard that give it.
const HOW = { all: "certifiedHow", squeezed: "certifiedSqueezed", plain: "certifiedAlone" };
const WHOSE = { all: "answersAll", squeezed: "answersSqueezed", plain: "answersPlain" };

export const whoseAnswer = (model) => t(WHOSE[model.vote]);

export function certificateText({ model, clean, guard, attacked, truth }) {
  if (!model.proves) return [t("unbounded"), ""];
  const eps = clean.certified?.eps ?? 0;
  const found = attacked && clean.label === truth && attacked.label !== truth;
  if (eps < 0.01) return [t("uncertified"), t(found ? "uncertifiedFound" : "uncertifiedWhy")];
  const values = { eps: down(eps), ...ofLevels(model, down(eps), Math.floor) };
  return [t("certified", values), t(guard ? HOW[model.vote] : HOW.plain)];
}

export function drawCertificate(node, result) {
  if (!result) return node.replaceChildren();
  const [said, how] = certificateText(result);
  return node.replaceChildren(el("strong", { class: result.clean.certified?.eps > 0 ? "proven" : null }, said), " ", el("span", { class: "note" }, how));
}

export function drawGuard(node, result) {
  if (!result) return node.replaceChildren();
  const { guard, clean, attacked, model, truth } = result;
  if (!guard) return node.replaceChildren(el("p", { class: "note" }, t("guardOff")));
  const said = [[t("withoutAttack"), clean, "clean"], ...(attacked ? [[t("underAttack"), attacked, "attacked"]] : [])];
  const head = el("tr", {}, el("th", { scope: "col" }, t("variant")), ...said.map(([name]) => el("th", { scope: "col" }, name)));
  const rows = Object.keys(clean.variants).map((variant) => el("tr", {}, el("th", { scope: "row" }, variantName(variant)),
    ...said.map(([, each]) => el("td", { class: each.variants[variant] === truth ? "agrees" : "differs" }, each.variants[variant]))));
  const scores = said.map(([name, each, kind]) => ({ name, score: each.adversarial_score, kind, flagged: each.flagged }));
  const told = scores.map(({ name, score, flagged }) =>
    `${name}: ${t("score", { score: scored(score) })}, ${t(flagged ? "flagged" : "passes")}`);
  const limit = short(model.threshold, 2);
  return node.replaceChildren(
    el("table", { class: "variants" }, el("thead", {}, head), el("tbody", {}, ...rows)),
    el("p", { class: "note" }, whoseAnswer(model)),
    scoreScale({
      scores, threshold: model.threshold, largest: LARGEST_SCORE, thresholdLabel: limit, label: told.join("; "),
    }),
    el("p", { class: "legend" }, ...told.map((text, place) => el("span", { class: `key ${scores[place].kind}` }, text))),
    el("p", { class: "note" }, t("detector", { threshold: limit })),
  );
}

export function variantName(variant) {
  const [kind, index] = variant.split("-");
  return has(`v-${kind}`) ? t(`v-${kind}`, { index }) : variant;
}
