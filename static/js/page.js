// What every page does by itself: copy buttons, menus that close, forms that are sent once.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
    }
    const label = button.textContent;
    button.textContent = button.dataset.copied || label;
    setTimeout(() => { button.textContent = label; }, 1600);
  }
  for (const menu of document.querySelectorAll("[data-drop][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("[data-drop][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  // Which account the page was about: another window may have switched since.
  const account = document.body.dataset.account;
  if (account && form.method === "post" && !form.elements.for_account) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "for_account", value: account });
    form.append(field);
  }
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
});

// A page taken back out of the browser's memory may be used again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
});

// The sum of the payments that are picked, in cents, so that nothing is rounded.
addEventListener("change", (event) => {
  const group = event.target.closest("[data-sum]");
  if (!group) return;
  let cents = 0;
  for (const box of group.querySelectorAll("[data-amount]:checked")) cents += Math.round(Number(box.dataset.amount) * 100);
  group.querySelector("[data-total]").textContent = group.dataset.sum + (cents / 100).toFixed(2);
});
