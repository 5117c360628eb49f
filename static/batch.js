// The live page of a batch: a part that came back unchanged is left alone, so that selections and
// the screen reader's place stay; one that changed keeps its place when scrolled sideways.
(() => {
  "use strict";
  let places = [];

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    if (fragment?.firstElementChild?.isEqualNode(target)) {
      event.detail.shouldSwap = false;
      return;
    }
    places = [...target.querySelectorAll(".table-scroll")].map((part) => part.scrollLeft);
  });

  document.addEventListener("htmx:oobAfterSwap", (event) => {
    const now = document.getElementById(event.detail.target?.id);
    now?.querySelectorAll(".table-scroll").forEach((part, index) => {
      part.scrollLeft = places[index] ?? 0;
    });
    places = [];
  });
})();
