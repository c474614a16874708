// A rehearsal that was played, step by step: the step of now is open, and the picture shows how far it went.

export function stepThrough(walk, picture) {
  for (const each of walk.querySelectorAll(".case")) oneCase(each, picture);
}

function oneCase(box, picture) {
  const steps = [...box.querySelectorAll(".walk > li")];
  if (!steps.length) return;
  const [back, forward] = [box.querySelector(".back"), box.querySelector(".forward")];
  box.querySelector(".stepper").hidden = false;
  let at = 0;

  function show() {
    steps.forEach((step, place) => {
      step.toggleAttribute("aria-current", false);
      step.classList.toggle("later", place > at);
      step.querySelector(".inside").hidden = place !== at;
    });
    steps[at].setAttribute("aria-current", "step");
    box.querySelector(".where").textContent = `Step ${at + 1} of ${steps.length}`;
    back.disabled = at === 0;
    forward.disabled = at === steps.length - 1;
    draw(picture, steps.slice(0, at + 1));
  }

  function move(by) {
    at = Math.max(0, Math.min(steps.length - 1, at + by));
    show();
  }

  back.addEventListener("click", () => move(-1));
  forward.addEventListener("click", () => move(1));
  show();
}

function draw(picture, reached) {
  for (const node of picture.querySelectorAll(".node")) node.classList.remove("reached", "failed", "current");
  for (const step of reached) {
    const node = picture.querySelector(`.node[data-step="${CSS.escape(step.dataset.step)}"]`);
    node?.classList.add(step.dataset.status === "failed" ? "failed" : "reached");
    node?.classList.toggle("current", step === reached.at(-1));
  }
}
