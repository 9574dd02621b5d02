// "/" puts the cursor into the page's search field, or opens the search.
document.addEventListener("keydown", function (e) {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
  e.preventDefault();
  var field = document.querySelector("[data-search]");
  if (field) field.focus();
  else location.href = "/cupons";
});
