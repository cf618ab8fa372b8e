// The top-up form says what will be paid; the page of an open top-up watches it and counts down.
(function () {
  "use strict";

  var form = document.querySelector("[data-topup]");
  if (form) {
    var other = form.querySelector("[data-other]");
    var amount = form.elements.amount;
    var sum = form.querySelector("[data-sum]");

    // In cents, so that nothing is lost; NaN where it is no amount.
    var cents = function () {
      var chosen = form.elements.preset.value;
      var text = chosen === "other" ? amount.value.trim() : chosen;
      if (!/^\d{1,6}([.]\d{1,2})?$/.test(text)) return NaN;
      var parts = text.split(".");
      var method = form.querySelector("[name=method]:checked");
      var least = Number((method || form).dataset.least);
      var value = Number(parts[0]) * 100 + Number(((parts[1] || "") + "00").slice(0, 2));
      return value >= least * 100 && value <= Number(form.dataset.most) * 100 ? value : NaN;
    };
    var show = function (hundredths) {
      return (hundredths / 100).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    };
    // What is paid for a base in hundredths, with the method's fee, rounded half up as by the server.
    var paid = function (text, method, base, sign) {
      var share = Math.round(Number(method.dataset.percent) * 1e4);
      var fixed = Math.round(Number(method.dataset.fixed) * 1e4);
      var fee = Math.floor((base * share + fixed * 1e4 + 5e5) / 1e6);
      var words = fee ? " " + sum.dataset.fee.replace("AMOUNT", sign + show(fee)) : "";
      return text.replace("AMOUNT", show(base + fee)) + words;
    };
    var update = function () {
      var isOther = form.elements.preset.value === "other";
      other.hidden = !isOther;
      var method = form.querySelector("[name=method]:checked");
      var value = cents();
      if (!method || isNaN(value)) {
        sum.textContent = sum.dataset.invalid;
      } else if (method.dataset.currency === "CNY") {
        // The rate has at most six decimals: whole numbers keep the half-up rounding of the server.
        var millionths = Math.round(Number(form.dataset.rate) * 1e6);
        var fen = Math.floor((value * millionths + 5e5) / 1e6);
        sum.textContent = paid(sum.dataset.cny, method, fen, "¥").replace("RATE", String(millionths / 1e6));
      } else {
        sum.textContent = paid(sum.dataset.usd, method, value, "$");
      }
    };
    form.addEventListener("input", update);
    form.addEventListener("change", function (event) {
      update();
      if (event.target.value === "other") amount.focus();
    });
    update();
  }

  var watched = document.querySelector("[data-watch]");
  if (watched) {
    var countdown = watched.querySelector("[data-countdown]");
    var end = Date.now() + Number(watched.dataset.seconds) * 1000;
    if (countdown) {
      var tick = function () {
        var left = Math.max(0, Math.round((end - Date.now()) / 1000));
        var time = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
        countdown.textContent = countdown.dataset.text.replace("TIME", time);
      };
      tick();
      setInterval(tick, 1000);
    }
    var look = function () {
      fetch(watched.dataset.watch, { headers: { Accept: "application/json" } })
        .then(function (answer) { return answer.ok ? answer.json() : null; })
        .then(function (now) {
          if (now && (now.state !== "open" || (now.ready && !watched.dataset.ready))) window.location.reload();
          else setTimeout(look, 2000);
        })
        .catch(function () { setTimeout(look, 4000); });
    };
    setTimeout(look, 2000);
  }
})();
