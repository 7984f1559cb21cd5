// Signing in.

import { session, take } from "./api.js";
import { h } from "./page.js";
import { field, line } from "./parts.js";

/** The form; `done` is called when somebody has signed in. */
export function signInView(done) {
  const email = h("input", { type: "email", id: "email", required: true, autocomplete: "username" });
  const password = h("input", { type: "password", id: "password", required: true, autocomplete: "current-password" });
  const tenant = line({ id: "sign-in-tenant", autocomplete: "organization", autocapitalize: "none", spellcheck: "false" });
  const operator = h("input", { type: "checkbox", id: "operator", onchange: () => (tenant.disabled = operator.checked) });
  const wrong = h("p", { role: "alert", class: "wrong" });
  const go = h("button", { class: "main" }, "Sign in");
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    wrong.textContent = "";
    try {
      const body = { email: email.value, password: password.value, operator: operator.checked };
      if (tenant.value.trim() && !operator.checked) body.tenant = tenant.value.trim();
      take(await session("POST", "", body));
      await done();
    } catch (error) {
      wrong.textContent = error.message;
    }
    go.disabled = false;
  } }, field("E-mail address", email), field("Password", password), field("Tenant", tenant, "If there are several here."),
  h("label", { class: "check" }, operator, " I am an operator of this installation"), wrong, go);
  return h("section", { class: "sign-in card" }, h("h1", {}, "Sign in"), form);
}
