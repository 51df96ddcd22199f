// What the page says, in English and Chinese; {names} are filled in.

const EN = {
  title: "Redoubt: attack a model, then its guard",
  skip: "Skip to the content",
  nav: "Page",
  tagline: "robustness of models, measured, then served",
  api: "API",
  labTitle: "Attack it yourself",
  labLead: "Draw a digit, choose who defends and who attacks. The network and the guard that answer here are the ones behind the endpoint.",
  image: "Image",
  pad: "Drawing pad",
  padHelp: "Draw by mouse or finger, or drop a picture. Keys: arrows move the pen, space puts it down or lifts it, Delete clears.",
  clear: "Clear",
  file: "Open a picture",
  inverted: "The picture was inverted: the digits of the training set are white on black.",
  badFile: "This file is no picture that the browser can read; expected PNG, JPEG or WebP.",
  examples: "Test images",
  more: "More",
  example: "Test image {index}, a {label}",
  model: "Model",
  "note-mnist-natural": "Trained on clean images only. It has no passing robustness report, so the service does not serve it; here for contrast.",
  "note-mnist-adversarial": "Adversarially trained within L∞ 0.3. Robust in every attack tried, with no proof of it.",
  "note-mnist-certified": "Trained on interval bounds for L∞ 0.3: for most images the answer is proven.",
  "name-mnist-natural": "natural training",
  "name-mnist-adversarial": "adversarial training",
  "name-mnist-certified": "certified training",
  served: "Served: {threat}.",
  defense: "Defense",
  off: "off",
  on: "guard",
  noOff: "The service answers with the guard on only; make demo shows the network without it.",
  attack: "Attack",
  none: "none",
  fgsm: "FGSM",
  pgd: "PGD",
  square: "Square",
  adaptive: "FGSM and PGD are adaptive here: they differentiate the guard too (BPDA and EOT), though not its detector.",
  noGradients: "FGSM and PGD need gradients, which the service gives to nobody; make demo computes them.",
  eps: "Largest change of a pixel, ε",
  epsValue: "{eps} = {share} of {levels}",
  epsCertified: "Green: proven. Up to {eps} no attack can succeed on this image.",
  epsUncertified: "No part of this range is proven for this image.",
  working: "Attacking…",
  asking: "Asking…",
  queries: "Square attack: {queries} queries",
  verdictEmpty: "Draw a digit, or pick a test image",
  verdictClean: "Answer: {label}, probability {share}",
  verdictWrong: "Wrong before any attack: {label} is read as {other}",
  verdictFooled: "Fooled: {label} is read as {other}",
  verdictFlagged: "Fooled, but flagged: {label} is read as {other}, and the detector raises the alarm",
  verdictHolds: "Holds: still {label}, with every pixel up to {eps} away",
  verdictProven: "Holds, and must: up to {eps} the answer is proven to stay {label}",
  clean: "clean image",
  perturbation: "perturbation",
  adversarial: "adversarial image",
  trio: "{what}: answer {label}, probability {share}",
  noAttack: "no attack",
  isRead: "read as {label}, {share}",
  scale: "change per pixel",
  probabilities: "Probabilities",
  class: "class",
  certificate: "Certificate",
  certified: "No change of up to {eps} per pixel ({share} of {levels}) changes this answer.",
  certifiedHow: "Interval bounds through every layer, and through every variant of the guard, for the draws of this answer.",
  certifiedSqueezed: "Interval bounds through the rounding to fewer levels, then through every layer of the network.",
  certifiedAlone: "Interval bounds through every layer of the network.",
  uncertified: "Nothing is proven for this image.",
  uncertifiedWhy: "The interval bounds are too loose for this network here: whether an attack exists is open until one is found.",
  uncertifiedFound: "Nor can it be at this ε: the attack above was found.",
  unbounded: "This network has a layer without interval bounds; nothing can be proven of it.",
  guard: "Guard",
  guardOff: "The guard is off: the network's own answer counts, and nobody looks for an attack.",
  answersAll: "The answer is the mean over all variants of the input.",
  answersSqueezed: "The answer is the one on the input rounded to fewer levels; the other variants serve the detector only.",
  answersPlain: "The answer is the one on the input as it came; the other variants serve the detector only.",
  variant: "variant",
  "v-plain": "as it came",
  "v-median": "median filter",
  "v-squeezed": "fewer grey levels",
  "v-random": "random resize {index}",
  detector: "How far squeezing the input moves the answer; above {threshold} it is flagged.",
  score: "score {score}",
  threshold: "threshold",
  flagged: "flagged",
  passes: "not flagged",
  withoutAttack: "clean",
  underAttack: "attacked",
  liveTitle: "Square attack, live",
  liveLead: "This page is the attacker: it sees nothing but the answers of the endpoint over HTTP. Each query changes one square of each image; what lowers the margin stays.",
  start: "Start",
  stop: "Stop",
  liveSetting: "{model}, images: {count}, ε {eps}, at most {budget} queries each",
  liveQueries: "{queries} queries sent",
  withoutGuard: "without guard",
  withGuard: "with guard",
  unflagged: "with guard, not flagged",
  fooledOf: "{fooled} of {count} fooled",
  fooledFlagged: "{fooled} of {count} fooled, {flagged} of them flagged",
  chart: "Share of images that are misclassified, by queries per image",
  chartX: "queries per image",
  chartY: "fooled",
  liveDone: "Done after {queries} queries.",
  liveStopped: "Stopped after {queries} queries.",
  formsTitle: "Tables",
  formsLead: "A real record of the test data is filled in. Change a number and see the answer, its certificate, and what moves it.",
  predicts: "Predicts {target}",
  measured: "Robustness was measured within {threat}.",
  range: "{low} to {high} in training",
  optional: "may be empty",
  answer: "Answer",
  reset: "Back to the example",
  interval: "Within the certified threat ({eps} standard deviations of each number) the answer stays between {low} and {high}.",
  certifiedTable: "No change of up to {eps} standard deviations of each number changes this answer.",
  uncertifiedTable: "Nothing is proven for this record.",
  outside: "Outside what training saw: {names}. Neither accuracy nor robustness was measured there.",
  moves: "What moves the answer",
  movesHow: "One number at a time, one standard deviation down and up, within its training range.",
  down: "down",
  up: "up",
  points: "points",
  allFields: "All {count} numbers",
  nothing: "Nothing is served yet: run make repro, or try make demo.",
  footer: "Everything on this page comes from this server. The attacks run on your machine.",
};

const ZH = {
  title: "Redoubt：先攻击模型，再攻击它的防护",
  skip: "跳到正文",
  nav: "页面",
  tagline: "先测量模型的鲁棒性，再提供服务",
  api: "接口",
  labTitle: "亲手攻击",
  labLead: "写一个数字，选择防守方和攻击方。这里作答的网络和防护，就是接口背后的那一个。",
  image: "图像",
  pad: "手写板",
  padHelp: "用鼠标或手指书写，也可以拖入图片。键盘：方向键移动画笔，空格落笔或提笔，Delete 清除。",
  clear: "清除",
  file: "打开图片",
  inverted: "图片已反色：训练集的数字是黑底白字。",
  badFile: "浏览器读不了这个文件；请用 PNG、JPEG 或 WebP 图片。",
  examples: "测试图像",
  more: "换一批",
  example: "第 {index} 张测试图像，数字 {label}",
  model: "模型",
  "note-mnist-natural": "只用干净图像训练。它没有合格的鲁棒性报告，服务不提供；这里仅作对照。",
  "note-mnist-adversarial": "在 L∞ 0.3 内做对抗训练。试过的攻击大多无效，但没有证明。",
  "note-mnist-certified": "以 L∞ 0.3 的区间界训练：多数图像的答案有证明。",
  "name-mnist-natural": "普通训练",
  "name-mnist-adversarial": "对抗训练",
  "name-mnist-certified": "可证训练",
  served: "正在服务：{threat}。",
  defense: "防御",
  off: "关",
  on: "防护",
  noOff: "服务只在防护开启时作答；make demo 可以看到没有防护的网络。",
  attack: "攻击",
  none: "无",
  fgsm: "FGSM",
  pgd: "PGD",
  square: "Square",
  adaptive: "这里的 FGSM 和 PGD 是自适应的：连防护一起求导（BPDA 与 EOT），但不针对检测器。",
  noGradients: "FGSM 和 PGD 需要梯度，服务不向任何人提供；make demo 会计算。",
  eps: "像素的最大改动 ε",
  epsValue: "{eps}，即 {levels} 级中的 {share} 级",
  epsCertified: "绿色部分已证明：不超过 {eps} 时，对这张图像的任何攻击都不会成功。",
  epsUncertified: "对这张图像，这个范围内没有证明。",
  working: "正在攻击……",
  asking: "正在询问……",
  queries: "Square 攻击：已询问 {queries} 次",
  verdictEmpty: "请写一个数字，或选一张测试图像",
  verdictClean: "答案：{label}，概率 {share}",
  verdictWrong: "没有攻击就已经错了：{label} 被认作 {other}",
  verdictFooled: "被骗：{label} 被认作 {other}",
  verdictFlagged: "被骗，但已报警：{label} 被认作 {other}，检测器发现了攻击",
  verdictHolds: "守住：每个像素改动不超过 {eps}，仍然是 {label}",
  verdictProven: "守住，而且必然守住：不超过 {eps} 时，答案已证明仍是 {label}",
  clean: "干净图像",
  perturbation: "扰动",
  adversarial: "对抗图像",
  trio: "{what}：答案 {label}，概率 {share}",
  noAttack: "没有攻击",
  isRead: "认作 {label}，{share}",
  scale: "每个像素的改动",
  probabilities: "概率",
  class: "类别",
  certificate: "证书",
  certified: "每个像素改动不超过 {eps}（{levels} 级中的 {share} 级），这个答案不会变。",
  certifiedHow: "区间界穿过网络的每一层，以及防护的每个变体；对这次作答的随机抽取成立。",
  certifiedSqueezed: "区间界先穿过减少级数的取整，再穿过网络的每一层。",
  certifiedAlone: "区间界穿过网络的每一层。",
  uncertified: "对这张图像没有证明。",
  uncertifiedWhy: "区间界在这里对这个网络太松：在找到攻击之前，攻击是否存在没有定论。",
  uncertifiedFound: "在这个 ε 下也不可能有证明：上面已经找到了攻击。",
  unbounded: "这个网络有一层没有区间界，无法证明。",
  guard: "防护",
  guardOff: "防护已关闭：只看网络自己的答案，没有人检查攻击。",
  answersAll: "答案取输入所有变体的平均。",
  answersSqueezed: "答案来自取整到较少级数的输入；其他变体只供检测器使用。",
  answersPlain: "答案来自原样的输入；其他变体只供检测器使用。",
  variant: "变体",
  "v-plain": "原样",
  "v-median": "中值滤波",
  "v-squeezed": "减少灰度级",
  "v-random": "随机缩放 {index}",
  detector: "压缩输入使答案移动多远；超过 {threshold} 即报警。",
  score: "得分 {score}",
  threshold: "阈值",
  flagged: "报警",
  passes: "未报警",
  withoutAttack: "干净",
  underAttack: "受攻击",
  liveTitle: "Square 攻击，实时",
  liveLead: "这个页面就是攻击者：它只能通过 HTTP 看到接口的回答。每次询问改动每张图像的一个方块；使间隔变小的改动保留下来。",
  start: "开始",
  stop: "停止",
  liveSetting: "{model}，{count} 张图像，ε {eps}，每张至多询问 {budget} 次",
  liveQueries: "已询问 {queries} 次",
  withoutGuard: "没有防护",
  withGuard: "有防护",
  unflagged: "有防护且未报警",
  fooledOf: "{count} 张中骗过 {fooled} 张",
  fooledFlagged: "{count} 张中骗过 {fooled} 张，其中 {flagged} 张报警",
  chart: "随每张图像的询问次数，被误分类图像的比例",
  chartX: "每张图像的询问次数",
  chartY: "被骗",
  liveDone: "共询问 {queries} 次，结束。",
  liveStopped: "询问 {queries} 次后停止。",
  formsTitle: "表格",
  formsLead: "已填入测试数据中的一条真实记录。改一个数，看答案、证书，以及什么影响答案。",
  predicts: "预测 {target}",
  measured: "鲁棒性在以下范围内测得：{threat}。",
  range: "训练范围 {low} 至 {high}",
  optional: "可以留空",
  answer: "作答",
  reset: "恢复示例",
  interval: "在可证的威胁之内（每个数的 {eps} 个标准差），答案保持在 {low} 与 {high} 之间。",
  certifiedTable: "每个数改动不超过 {eps} 个标准差，这个答案不会变。",
  uncertifiedTable: "对这条记录没有证明。",
  outside: "超出训练所见：{names}。那里既没有测量准确率，也没有测量鲁棒性。",
  moves: "什么影响答案",
  movesHow: "每次只动一个数，在训练范围内向下和向上一个标准差。",
  down: "向下",
  up: "向上",
  points: "个百分点",
  allFields: "全部 {count} 个数",
  nothing: "还没有可服务的模型：运行 make repro，或试试 make demo。",
  footer: "页面上的一切都来自这台服务器。攻击在你自己的机器上运行。",
};

const TEXTS = { en: EN, zh: ZH };
const LANGUAGES = { en: "en", zh: "zh-Hans" };
const listeners = [];
let language = "en";

export const has = (key) => key in EN;

export function t(key, values = {}) {
  return (TEXTS[language][key] ?? EN[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function onLanguage(listener) {
  listeners.push(listener);
}

export function setLanguage(next) {
  language = next in TEXTS ? next : "en";
  document.documentElement.lang = LANGUAGES[language];
  document.title = t("title");
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  try {
    localStorage.setItem("redoubt.language", language);
  } catch { /* a browser that keeps nothing */ }
  for (const listener of listeners) listener();
}

export function firstLanguage() {
  try {
    const kept = localStorage.getItem("redoubt.language");
    if (kept) return kept;
  } catch { /* as above */ }
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

export const other = () => (language === "en" ? "zh" : "en");

export function percent(share) {
  if (share > 0.999 && share < 1) return ">\u00a099.9\u00a0%";
  const fine = share < 0.0995 || (share > 0.9905 && share < 1);
  return `${(100 * share).toFixed(fine ? 1 : 0)}\u00a0%`;
}

// A certified eps is never rounded up.
export const down = (eps) => String(Math.floor(eps * 100 + 1e-6) / 100);

// An eps in grey levels, of an image that has few of them to a tenth.
export function ofLevels(model, eps, whole) {
  const levels = model?.levels ?? 255, parts = levels < 255 ? 10 : 1;
  return { levels, share: whole(eps * levels * parts) / parts };
}

export const scored = (score) => (score > 0 && score < 0.001 ? "< 0.001" : short(score, 2));

export const short = (value, digits = 3) =>
  Number(value).toLocaleString("en", { maximumSignificantDigits: digits, useGrouping: Math.abs(value) >= 10000 });
