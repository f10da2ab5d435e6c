// Opens Prefect's page as a user would: fills the form of a deployment, submits it, and waits for
// the run. Usage: node trigger_session.mjs BASE_URL DEPLOYMENT_ID PARAMETERS_JSON PICTURE_FOLDER
// PARAMETERS_JSON maps the label of a field to what is typed into it.
// Prints one JSON object: {state, external, errors, text}.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(process.cwd() + "/");
const { chromium } = require("playwright-core");
const [base, deployment, parameters, pictures] = process.argv.slice(2);
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: QUIET });
const page = await browser.newPage({ viewport: { width: 1400, height: 1100 } });
const external = [];
const errors = [];
page.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith(base) && !url.startsWith("blob:") && !url.startsWith("data:")) external.push(url);
});
page.on("pageerror", (error) => errors.push(String(error)));

await page.goto(`${base}/deployments/deployment/${deployment}/run`);
const form = page.locator("form");
await form.getByRole("button", { name: "Submit" }).waitFor();
for (const [label, value] of Object.entries(JSON.parse(parameters))) {
  // Boxes nest, so a field is found as the first input after the text of its own label.
  const field = form
    .getByText(label, { exact: true })
    .first()
    .locator("xpath=following::*[self::textarea or self::input[not(@type='checkbox')]][1]");
  await field.fill(String(value));
}
await page.screenshot({ path: `${pictures}/form.png`, fullPage: true });
const created = page.waitForResponse((response) => response.url().includes("/create_flow_run"));
await form.getByRole("button", { name: "Submit" }).click();
const answer = await created;
if (!answer.ok()) throw new Error(`the form was refused: ${await answer.text()}`);
await page.goto(`${base}/runs/flow-run/${(await answer.json()).id}`);
const ENDED = /Completed|Failed|Crashed|PartialFailure|Cancelled/;
await page.waitForFunction((pattern) => {
  const shown = document.querySelector(".page-heading")?.parentElement?.innerText ?? "";
  return new RegExp(pattern).test(shown);
}, ENDED.source, { timeout: 400000, polling: 1000 });
await page.waitForTimeout(1500);
await page.screenshot({ path: `${pictures}/run.png` });
const shown = await page.locator(".page-heading").first().locator("xpath=..").innerText();
const state = shown.match(ENDED)[0];
await page.getByText("Artifacts", { exact: true }).last().click();
await page.waitForTimeout(1500);
await page.screenshot({ path: `${pictures}/artifacts.png`, fullPage: true });
const text = await page.locator("body").innerText();
console.log(JSON.stringify({ state, external, errors, text }));
await browser.close();
