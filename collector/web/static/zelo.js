// "/" puts the cursor into the page's search field, or opens the search.
document.addEventListener("keydown", function (e) {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
  e.preventDefault();
  var field = document.querySelector("[data-search]");
  if (field) field.focus();
  else location.href = "/cupons";
});

// A field that only counts with what another says is shown, and sent, with that alone.
document.querySelectorAll("[data-when]").forEach(function (label) {
  var other = label.closest("form").elements[label.dataset.when];
  function follow() {
    label.hidden = label.dataset.is.split(" ").indexOf(other.value) < 0;
    label.querySelector("input, select, textarea").disabled = label.hidden;
  }
  other.addEventListener("change", follow);
  window.addEventListener("pageshow", follow); // the browser may have put back what was chosen
});

// A page whose main part is marked data-live keeps itself current: the server says that
// something changed, and the page is fetched anew, that many seconds after the last time
// at the earliest. What is under the pointer or has the
// focus does not move: the new page waits until that is left, or is asked for.
(function () {
  var main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource) return;
  var stream, next, typed, fetching, again, since = 0, shown = main.innerHTML;

  var note = document.createElement("p");
  note.className = "news";
  note.setAttribute("role", "status");
  document.body.appendChild(note);
  note.addEventListener("click", show);

  function held() {
    return typed || main.contains(document.activeElement) || main.querySelector("tr:hover, li:hover, a:hover, summary:hover, button:hover");
  }

  function rows() { return [].slice.call(main.querySelectorAll("tbody tr, ol > li")); }

  // topic names what a folded part is about.
  function topic(d) {
    var of = d.closest("li, section"), title = of && of.querySelector("h2");
    return title ? title.textContent : "";
  }

  function show() {
    if (!next) return;
    var old = rows().map(function (r) { return r.textContent; });
    var open = [].map.call(main.querySelectorAll("details[open]"), topic);
    shown = next.innerHTML;
    main.replaceChildren.apply(main, next.childNodes);
    next = null;
    typed = false;
    note.textContent = "";
    rows().forEach(function (r) { if (old.indexOf(r.textContent) < 0) r.classList.add("fresh"); });
    main.querySelectorAll("details").forEach(function (d) { d.open = open.indexOf(topic(d)) >= 0; });
  }

  function offer() {
    if (!next) return;
    if (!held()) return show();
    if (!note.firstChild) note.innerHTML = "<button>Mostrar o que mudou</button>";
  }

  function refresh() {
    if (fetching) { again = true; return; }
    var pause = Math.max(0, since + 1000 * main.dataset.live - Date.now());
    fetching = true;
    setTimeout(function () {
      again = false;
      since = Date.now();
      fetch(location.href).then(function (answer) {
        if (answer.redirected) location.reload(); // signed out
        return answer.ok ? answer.text() : "";
      }).then(function (text) {
        var fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main[data-live]");
        next = fresh && fresh.innerHTML !== shown ? fresh : null;
        if (!next) note.textContent = "";
        offer();
      }).catch(function () {}).then(function () {
        fetching = false;
        if (again) refresh();
      });
    }, pause);
  }

  function watch() {
    if (stream) stream.close();
    stream = null;
    if (document.hidden) return;
    stream = new EventSource("/novidades");
    stream.onmessage = refresh;
  }

  window.addEventListener("pagehide", function () { if (stream) stream.close(); }); // a kept page would hold its connection
  window.addEventListener("pageshow", function (e) { if (e.persisted) watch(); });
  main.addEventListener("input", function () { typed = true; });
  document.addEventListener("visibilitychange", watch);
  document.addEventListener("mouseout", function () { setTimeout(offer, 0); });
  document.addEventListener("focusout", function () { setTimeout(offer, 0); });
  watch();
})();
