"use strict";
// Which method fits which camera on which GPU: a matrix of GPUs and sensors for each method.

function drawDecision() {
  const into = document.getElementById("decision-content");
  if (!(TABLES.feasibility || []).length) {
    into.replaceChildren(element("p", { class: "none" }, "No feasibility table was made: name GPUs and sensors in the configuration."));
  }
}
