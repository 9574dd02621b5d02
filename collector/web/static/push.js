// Shows what the collector pushes, and opens its page.
self.addEventListener("push", function (e) {
  var m = e.data ? e.data.json() : { title: "Zelo", body: "", url: "/alarmes" };
  e.waitUntil(self.registration.showNotification(m.title, { body: m.body, tag: m.id, data: m.url, icon: "/static/zelo.svg", lang: "pt-BR" }));
});
self.addEventListener("notificationclick", function (e) {
  e.notification.close();
  e.waitUntil(self.clients.openWindow(e.notification.data || "/alarmes"));
});
