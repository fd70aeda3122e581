// Looks at web pages as a person does: in a real browser, with what scripts have made of them.
//
// Standard input is JSON: {"executable", "username", "password", "width", "height", "pages": [{"url", "waitFor", "picture"}]}.
// "waitFor" is a CSS selector that has to show; "picture", if it is there, is where a PNG of the page goes. Standard output is
// JSON: for each page {"title", "text", "html", "errors", "requests"}: what its scripts complained of, and whom it asked.
const { chromium } = require("playwright-core");

const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

async function look(context, { url, waitFor, picture }) {
  const page = await context.newPage();
  const errors = [];
  const requests = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url, { waitUntil: "load" });
  if (waitFor) await page.waitForSelector(waitFor, { state: "visible", timeout: 30000 });
  if (picture) await page.screenshot({ path: picture });
  const seen = {
    title: await page.title(), text: await page.innerText("body"), html: await page.content(), errors, requests,
  };
  await page.close();
  return seen;
}

async function main() {
  let input = "";
  for await (const chunk of process.stdin) input += chunk;
  const { executable, username, password, width, height, pages } = JSON.parse(input);
  const browser = await chromium.launch({ executablePath: executable, headless: true, args: QUIET });
  try {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: "light",
      ...(username ? { httpCredentials: { username, password } } : {}),
    });
    const seen = [];
    for (const page of pages) seen.push(await look(context, page));
    process.stdout.write(JSON.stringify(seen));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  process.stderr.write(`${error}\n`);
  process.exitCode = 1;
});
