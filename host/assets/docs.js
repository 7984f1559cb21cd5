// Starts Swagger UI on openapi.json. A sign-in that is tried on this page also signs the page in.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const applyColors = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", applyColors);
applyColors();

const SIGN_IN = /\/(register|login|refresh)$/;

const docs = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  tryItOutEnabled: true,
  responseInterceptor: (response) => {
    if (response.ok && SIGN_IN.test(response.url) && response.body?.token) {
      docs.preauthorizeApiKey("bearer", response.body.token);
    }
    return response;
  },
});
