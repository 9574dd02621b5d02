// Offers pushes where the browser has them, and hands the subscription to the form.
(function () {
  var form = document.getElementById("avisos-navegador"), text = document.getElementById("avisos-aqui");
  if (!form || !("serviceWorker" in navigator) || !("PushManager" in window)) return;
  form.hidden = false;
  text.textContent = "Os avisos chegam a este celular ou computador também com a página fechada.";
  var ready = false;
  form.addEventListener("submit", function (e) {
    if (ready) return;
    e.preventDefault();
    subscribe().then(function (s) {
      var j = s.toJSON();
      form.endpoint.value = j.endpoint;
      form.auth.value = j.keys.auth;
      form.p256dh.value = j.keys.p256dh;
      form.nome.value = name();
      ready = true;
      form.submit();
    }).catch(function () {
      text.textContent = "O navegador não permitiu os avisos. Permita as notificações deste endereço nas configurações do navegador e tente de novo.";
    });
  });

  function subscribe() {
    return Notification.requestPermission().then(function (answer) {
      if (answer !== "granted") throw new Error(answer);
      return navigator.serviceWorker.register("/static/push.js");
    }).then(function (r) {
      return active(r).then(function () {
        return r.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(form.dataset.key) });
      });
    });
  }

  function active(r) {
    if (r.active) return Promise.resolve();
    var w = r.installing || r.waiting;
    return new Promise(function (done) {
      w.addEventListener("statechange", function () { if (w.state === "activated") done(); });
    });
  }

  function bytes(text) {
    var raw = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(raw, function (c) { return c.charCodeAt(0); });
  }

  function name() {
    var u = navigator.userAgent;
    var browser = /Firefox/.test(u) ? "Firefox" : /Edg/.test(u) ? "Edge" : /Chrome/.test(u) ? "Chrome" : /Safari/.test(u) ? "Safari" : "navegador";
    var on = /Android/.test(u) ? " no Android" : /iPhone|iPad/.test(u) ? " no iPhone" : /Windows/.test(u) ? " no Windows" : /Mac/.test(u) ? " no Mac" : /Linux/.test(u) ? " no Linux" : "";
    return browser + on;
  }
})();
