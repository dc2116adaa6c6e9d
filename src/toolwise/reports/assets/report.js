"use strict";
(() => {
  const root = document.documentElement;
  let faults = 0;
  addEventListener("error", () => { root.dataset.faults = String(++faults); });
  addEventListener("securitypolicyviolation", () => { root.dataset.faults = String(++faults); });
  root.dataset.faults = "0";
  const data = JSON.parse(document.getElementById("data").textContent);

  // Everything that a model or a tool wrote goes through textContent: it can only ever be text.
  const make = (tag, name = "", text = null) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== null) node.textContent = text;
    return node;
  };
  const short = (value, digits = 2) => value === null || value === undefined ? "–" : String(Number(value.toFixed(digits))).replace("-", "−");

  /* learning curves: a reading under the pointer */
  const readCurve = (svg) => {
    const panel = data.curves[Number(svg.dataset.panel)];
    const cursor = svg.querySelector(".cursor");
    const readout = svg.parentNode.querySelector(".readout");
    const leave = () => { cursor.setAttribute("hidden", ""); readout.textContent = ""; };
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * 360;
      const [low, high] = panel.x;
      const step = low + (x - 44) / 306 * (high - low);
      const near = panel.series.map(([label, points]) => [label, points.reduce((a, b) => Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a)]);
      const at = near[0][1][0];
      const place = 44 + (at - low) / (high - low) * 306;
      cursor.setAttribute("d", `M${place},10V164`);
      cursor.removeAttribute("hidden");
      readout.textContent = `step ${at}: ` + near.map(([label, point]) => `${near.length > 1 ? label + " " : ""}${point[1]}`).join(" · ");
    });
  };
  document.querySelectorAll("svg.curve").forEach(readCurve);

  /* rollouts */
  const browser = document.getElementById("browser");
  if (browser) {
    const SHOWN = 200;
    const rollouts = data.rollouts;
    const [form, count, list, reader] = [".filters", ".count", ".list", ".reader"].map((name) => browser.querySelector(name));
    rollouts.forEach((rollout) => {
      rollout.errors = [...new Set(rollout.turns.flatMap((turn) => [turn.error, ...turn.calls.map((call) => call.error), ...turn.results.map((result) => result.error)]).filter(Boolean))];
      const pieces = rollout.turns.flatMap((turn) => [turn.tokens ? turn.tokens.join("") : turn.text, ...turn.calls.map((call) => call.name + " " + call.arguments), ...turn.results.map((result) => result.content)]);
      rollout.searched = [rollout.task, ...pieces].join("\n").toLowerCase();
    });
    const state = { limit: SHOWN, chosen: null, colour: "advantage" };

    // A filter: label, what a rollout is on it, and fixed options where the order matters.
    const yes = (on, off) => (value) => value === null || value === undefined ? "" : value ? on : off;
    const filters = [
      ["Stage", (r) => r.stage], ["Policy", (r) => r.policy], ["Split", (r) => r.split],
      ["Step", (r) => r.step === null ? "" : String(r.step)], ["Domain", (r) => r.info.domain || ""], ["Kind", (r) => r.info.kind || ""], ["Level", (r) => r.info.level || ""],
      ["Tool", (r) => yes("needed", "not needed")(r.info.needs_tool)],
      ["Called", (r) => r.calls > 0 ? "called" : "not called"],
      ["Answer", (r) => yes("correct", "wrong")(r.correct)],
      ["Error", (r) => r.errors.length ? r.errors : ["none"]],
    ].map(([label, of]) => ({ label, of, select: null }));
    const values = (filter, rollout) => [filter.of(rollout)].flat();
    const search = make("input");

    const fill = (filter, among) => {
      const kept = filter.select.value;
      const found = [...new Set(among.flatMap((rollout) => values(filter, rollout)))].filter((value) => value !== "");
      if (filter.label === "Step") found.sort((a, b) => a - b);
      filter.select.replaceChildren(...["", ...found].map((value) => { const option = make("option", "", value === "" ? "any" : value); option.value = value; return option; }));
      filter.select.value = found.includes(kept) ? kept : "";
      filter.select.parentNode.hidden = found.length < 2 && kept === "";
      filter.select.parentNode.style.display = filter.select.parentNode.hidden ? "none" : "";
    };
    filters.forEach((filter) => {
      const label = make("label", "", filter.label);
      filter.select = make("select");
      label.append(filter.select);
      form.append(label);
      fill(filter, rollouts);
      filter.select.addEventListener("change", () => { state.limit = SHOWN; update(); });
    });
    const label = make("label", "wide", "Text");
    search.type = "search"; search.placeholder = "in prompts, turns, calls, results";
    label.append(search); form.append(label);
    search.addEventListener("input", () => { state.limit = SHOWN; update(); });
    form.addEventListener("submit", (event) => event.preventDefault());

    const fits = (rollout, skip) => filters.every((filter) => filter === skip || filter.select.value === "" || values(filter, rollout).includes(filter.select.value));

    const verdict = (rollout) => {
      const mark = rollout.correct === null ? "" : rollout.correct ? "✓" : "✗";
      const node = make("span", rollout.correct === null ? "" : rollout.correct ? "good-text" : "bad-text", mark);
      if (mark) { node.setAttribute("role", "img"); node.setAttribute("aria-label", rollout.correct ? "correct" : "wrong"); }
      return node;
    };
    const entry = (rollout) => {
      const item = make("li"), button = make("button");
      button.type = "button";
      const title = make("span", "title", rollout.info.kind || rollout.task);
      const right = make("span");
      right.append(verdict(rollout), " " + short(rollout.reward));
      const calls = rollout.calls === 1 ? "1 call" : `${rollout.calls} calls`;
      const meta = [rollout.stage, rollout.policy !== rollout.stage ? rollout.policy : "", rollout.split, rollout.step === null ? "" : `step ${rollout.step}`, calls, ...rollout.errors].filter(Boolean).join(" · ");
      button.append(title, right, make("span", "meta", meta));
      button.rollout = rollout;
      button.addEventListener("click", () => choose(rollout, true));
      item.append(button);
      return item;
    };
    const mark = () => list.querySelectorAll("button").forEach((button) => {
      if (button.rollout) button.setAttribute("aria-current", String(button.rollout === state.chosen));
    });
    const update = () => {
      const wanted = search.value.toLowerCase();
      const matched = rollouts.filter((rollout) => rollout.searched.includes(wanted));
      filters.forEach((filter) => fill(filter, matched.filter((rollout) => fits(rollout, filter))));
      const found = matched.filter((rollout) => fits(rollout));
      count.textContent = `${found.length} of ${rollouts.length} rollouts`;
      list.replaceChildren(...found.slice(0, state.limit).map(entry));
      if (found.length > state.limit) {
        const item = make("li"), more = make("button", "", `show ${Math.min(SHOWN, found.length - state.limit)} more`);
        more.type = "button";
        more.addEventListener("click", () => { const at = state.limit; state.limit += SHOWN; update(); list.children[at].firstChild.focus(); });
        item.append(more); list.append(item);
      }
      if (!found.includes(state.chosen)) choose(found[0] || null, false); else mark();
    };
    list.addEventListener("keydown", (event) => {
      const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const item = event.target.closest("li");
      if (!move || !item) return;
      event.preventDefault();
      const next = move > 0 ? item.nextElementSibling : item.previousElementSibling;
      if (!next) return;
      next.firstChild.focus();
      if (next.firstChild.rollout) choose(next.firstChild.rollout, false);
    });

    const shade = (turn, index) => {
      const tint = (colour, strength) => strength > 0.01 ? `rgba(var(--${colour}),${Math.min(1, strength) * 0.75})` : "";
      if (state.colour === "advantage" && turn.advantages) {
        const pull = (turn.advantages[index] || 0) / data.scale;
        return tint(pull > 0 ? "plus" : "minus", Math.abs(pull));
      }
      if (state.colour === "logprob" && turn.logprobs && turn.logprobs[index] !== null) return tint("minus", -turn.logprobs[index] / 4);
      return "";
    };
    const isTrained = (turn, index) => turn.weights && turn.weights.length ? turn.weights[index] > 0 : turn.sampled;
    const hover = (turn, index) => [
      isTrained(turn, index) ? "trained" : "not trained",
      turn.advantages ? `advantage ${short(turn.advantages[index], 3)}` : "",
      turn.logprobs ? `logprob ${short(turn.logprobs[index], 3)}` : "",
      turn.weights && turn.weights.length ? `weight ${short(turn.weights[index])}` : "",
    ].filter(Boolean).join(" · ");

    const words = (turn) => {
      const block = make("p", "tokens");
      if (!turn.tokens) {
        block.append(make("span", turn.sampled ? "trained" : "untrained", turn.text));
        return block;
      }
      turn.tokens.forEach((piece, index) => {
        const span = make("span", isTrained(turn, index) ? "trained" : "untrained", piece.replace(/\n$/, "⏎\n"));
        span.title = hover(turn, index);
        span.style.backgroundColor = shade(turn, index);
        block.append(span);
      });
      if (turn.more) block.append(make("span", "empty", ` … ${turn.more} more tokens`));
      return block;
    };
    const inout = (arrow, name, body, error, detail) => {
      const box = make("div", error ? "io failed" : "io");
      box.append(make("span", "arrow", arrow), make("strong", "", name), name ? " " : "", make("code", "", body));
      if (error) box.append(" ", make("span", "chip bad", error));
      if (detail) box.append(" ", make("span", "empty", detail));
      return box;
    };
    const turnView = (turn, number) => {
      const box = make("section", `turn ${["assistant", "tool"].includes(turn.role) ? turn.role : "prompt"}`);
      const head = make("h4", "", turn.role === "assistant" ? `turn ${number} · the policy` : turn.role === "tool" ? "tool results" : turn.role);
      if (turn.error) head.append(" ", make("span", "chip bad", turn.error));
      box.append(head);
      const hasWords = turn.tokens || turn.text;
      if (hasWords) box.append(words(turn));
      turn.calls.forEach((call) => box.append(inout("call →", call.name || "?", call.arguments, call.error, call.detail)));
      turn.results.forEach((result) => box.append(inout("← result", result.name || "?", result.content, result.error, result.seconds ? (result.seconds < 1 ? `${short(result.seconds * 1000, 0)} ms` : `${short(result.seconds, 1)} s`) : "")));
      if (turn.answer !== null) box.append(inout("answer", "", turn.answer, "", ""));
      return box;
    };
    const legend = () => {
      const box = make("div", "scale"), pick = make("label", "", "colour by"), select = make("select");
      [["advantage", "advantage"], ["logprob", "log-probability"], ["none", "trained only"]].forEach(([value, text]) => { const option = make("option", "", text); option.value = value; select.append(option); });
      select.value = state.colour;
      select.addEventListener("change", () => { state.colour = select.value; choose(state.chosen, false); reader.querySelector(".scale select").focus(); });
      pick.append(select); box.append(pick);
      const ramp = (name, left, right) => { const node = make("span", `ramp ${name}`); node.append(left, make("i"), right); return node; };
      if (state.colour === "advantage") box.append(data.scale === null ? "no advantages recorded" : ramp("adv", `−${short(data.scale)} discouraged`, `encouraged +${short(data.scale)}`));
      if (state.colour === "logprob") box.append(ramp("lp", "expected 0", "−4 surprising"));
      box.append(make("span", "sample-trained", "trained"), make("span", "sample-not", "not trained"));
      return box;
    };
    const chip = (text, name = "") => make("span", `chip ${name}`, text);
    const choose = (rollout, focus) => {
      state.chosen = rollout;
      mark();
      if (!rollout) { reader.replaceChildren(make("p", "empty", "No rollout fits these filters.")); return; }
      const chips = make("div", "chips");
      if (rollout.correct !== null) chips.append(chip(rollout.correct ? "correct" : "wrong", rollout.correct ? "good" : "bad"));
      if (typeof rollout.info.needs_tool === "boolean") chips.append(chip(rollout.info.needs_tool ? "tool needed" : "no tool needed", rollout.info.needs_tool ? "beyond" : "within"));
      chips.append(chip(rollout.calls === 1 ? "1 call" : `${rollout.calls} calls`), chip(`reward ${short(rollout.reward, 3)}`));
      Object.entries(rollout.parts).forEach(([name, value]) => chips.append(chip(`${name} ${short(value)}`)));
      if (rollout.stop) chips.append(chip(`stop: ${rollout.stop}`, rollout.stop === "answered" || rollout.stop === "demonstration" ? "" : "bad"));
      Object.entries(rollout.info).filter(([name]) => name !== "needs_tool").forEach(([name, value]) => chips.append(chip(`${name}: ${value}`)));
      rollout.errors.forEach((error) => chips.append(chip(error, "bad")));
      const group = rollouts.filter((other) => ["stage", "policy", "split", "step", "group"].every((key) => other[key] === rollout[key]));
      const siblings = make("div", "siblings", group.length > 1 ? "its group:" : "");
      if (group.length > 1) group.forEach((other, index) => {
        const button = make("button");
        button.type = "button";
        button.append(verdict(other), ` ${short(other.reward)}`);
        button.setAttribute("aria-label", `sample ${index + 1} of ${group.length}, reward ${short(other.reward)}`);
        button.setAttribute("aria-current", String(other === rollout));
        button.addEventListener("click", () => { choose(other, false); reader.querySelector(".siblings [aria-current=true]").focus(); });
        siblings.append(button);
      });
      const elsewhere = rollouts.filter((other) => other.task === rollout.task && !group.includes(other));
      const others = make("div", "siblings", elsewhere.length ? "the same question:" : "");
      elsewhere.slice(0, 12).forEach((other) => {
        const button = make("button");
        button.type = "button";
        const where = [other.policy || other.stage, other.step === null ? "" : `step ${other.step}`].filter(Boolean).join(" · ");
        button.append(`${where} `, verdict(other), other.calls === 1 ? " 1 call" : ` ${other.calls} calls`);
        button.addEventListener("click", () => { choose(other, false); reader.focus(); });
        others.append(button);
      });
      let number = 0;
      const turns = rollout.turns.map((turn) => turnView(turn, turn.role === "assistant" ? ++number : 0));
      reader.replaceChildren(make("h3", "", rollout.task), chips, siblings, others, legend(), ...turns);
      if (focus && matchMedia("(max-width: 820px)").matches) reader.focus();
    };
    browser.hidden = false;
    update();
    root.dataset.rollouts = String(list.children.length);
  }

  /* what the page says of itself: used by its tests */
  const measure = () => { root.dataset.overflow = String(root.scrollWidth - root.clientWidth); };
  measure();
  addEventListener("resize", measure);
  root.dataset.ready = "true";
})();
