// The desk's keys, and sentences that are put into a field.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.href) target.click();
  else target.focus();
});

document.addEventListener("change", (event) => {
  const field = event.target.matches("[data-fill]") && document.getElementById(event.target.dataset.fill);
  if (!field || !event.target.value) return;
  field.value = [field.value.trim(), event.target.value].filter(Boolean).join("\n");
  event.target.selectedIndex = 0;
  field.focus();
});
