// Makes pages of the documents in api-specs: for every style an overview of who offers, says and hears what, and a page for each
// document. They go to target/api-docs/<style>/ and need nothing else: no server, and nothing from the network.
//
//   npm ci && node pages.mjs [DIRECTORY]

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const SPECS = join(HERE, '../../../api-specs');
const OUT = process.argv[2] ?? join(HERE, '../../../target/api-docs');
/** In the order in which an order passes them. What else a style has comes after them. */
const SERVICES = ['gateway', 'order', 'billing', 'notification'];
const KINDS = { openapi: 'HTTP', asyncapi: 'messages' };
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
// Redoc would fetch its maker's logo, and can send telemetry. A browser does not let it.
const POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; worker-src blob:; "
  + "style-src 'unsafe-inline'; img-src data: blob:; font-src data:";

rmSync(OUT, { recursive: true, force: true });
for (const style of readdirSync(SPECS).sort()) {
  const directory = join(OUT, style);
  mkdirSync(directory, { recursive: true });
  const documents = documentsOf(style);
  for (const { file, page } of documents) {
    writePage(file, join(directory, page));
  }
  writeFileSync(join(directory, 'index.html'), overview(style, documents));
  console.log(`${join(directory, 'index.html')}: ${documents.length} documents`);
}

/** By service, HTTP first. A file that does not fit is an error: it would be missing on the page. */
function documentsOf(style) {
  const names = readdirSync(join(SPECS, style)).filter((name) => !isOfProtos(style, name));
  const documents = names.map((name) => {
    const [service, kind] = name.split('.');
    if (!(kind in KINDS)) {
      throw new Error(`api-specs/${style}/${name}: neither <service>.openapi.yaml nor <service>.asyncapi.yaml`);
    }
    const file = join(SPECS, style, name);
    return { file, service, kind, page: `${service}.${kind}.html`, content: parse(readFileSync(file, 'utf8')) };
  });
  const rank = ({ service }) => (SERVICES.includes(service) ? SERVICES.indexOf(service) : SERVICES.length);
  const kinds = Object.keys(KINDS);
  return documents.sort((a, b) => rank(a) - rank(b) || a.service.localeCompare(b.service)
    || kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
}

/** Folders of .proto files, how they are checked, and their README: tests/infra/proto/run makes pages of them. */
function isOfProtos(style, name) {
  return hasProtos(style) && (['buf.yaml', 'README.md'].includes(name) || statSync(join(SPECS, style, name)).isDirectory());
}

function hasProtos(style) {
  return existsSync(join(SPECS, style, 'buf.yaml'));
}

function writePage(file, page) {
  const program = join(HERE, 'node_modules/@redocly/cli/bin/cli.js');
  const options = ['--config', join(HERE, 'redocly.yaml'), '--inlineBundle', '--output', page];
  const env = { ...process.env, REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  const made = spawnSync(process.execPath, [program, 'build-docs', file, ...options], { env, encoding: 'utf8' });
  if (made.status !== 0) {
    throw new Error(`${file}: ${made.error ?? made.stderr}`);
  }
  const html = readFileSync(page, 'utf8');
  const head = html.indexOf('<head>') + '<head>'.length;
  if (head < '<head>'.length) {
    throw new Error(`${page}: no <head> to put the policy into`);
  }
  writeFileSync(page, html.slice(0, head) + metaPolicy(POLICY) + html.slice(head));
}

function overview(style, documents) {
  const services = [...new Set(documents.map(({ service }) => service))];
  const sections = services.map((service) => {
    const own = documents.filter((document) => document.service === service);
    const links = own.map(({ kind, page }) => `<a href="${page}">${KINDS[kind]}</a>`).join(' · ');
    const description = own[0].content.info.description;
    return `<h2>${service}</h2>\n<p>${escape(description)} Documents: ${links}</p>\n${own.map(table).join('\n')}`;
  });
  const rpcs = hasProtos(style) ? ' Services talk to each other by <a href="services/index.html">gRPC</a>.' : '';
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">${metaPolicy("default-src 'none'; style-src 'unsafe-inline'")}
<meta name="viewport" content="width=device-width, initial-scale=1"><title>${style}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; margin-bottom: 1rem; }
  td { border-top: 1px solid #ccc; padding: .25rem .75rem .25rem 0; vertical-align: top; }
  td:first-child { width: 6rem; } td:nth-child(2) { width: 20rem; font-family: monospace; overflow-wrap: anywhere; }
</style></head><body>
<h1>${style}</h1>
<p>What each service offers over HTTP, and what it says and hears. Clients talk to the gateway.${rpcs}</p>
${sections.join('\n')}
</body></html>
`;
}

/** One line for each operation. */
function table({ kind, content }) {
  const rows = kind === 'openapi' ? requests(content) : messages(content);
  const cells = (row) => row.map((cell) => `<td>${escape(cell)}</td>`).join('');
  return `<table>${rows.map((row) => `<tr>${cells(row)}</tr>`).join('\n')}</table>`;
}

function requests({ paths }) {
  return Object.entries(paths).flatMap(([path, item]) => METHODS.filter((method) => method in item)
    .map((method) => [method.toUpperCase(), path, item[method].summary]));
}

/** What is said first, then what is heard. A description begins with a sentence about who is at the other end. */
function messages({ operations }) {
  const name = (reference) => reference.$ref.split('/').at(-1);
  const row = ({ action, channel, messages: named, summary, description }) => [
    action === 'send' ? 'says' : 'hears', `${named.map(name).join(', ')} (${name(channel)})`,
    `${summary} ${description.split('.')[0]}.`];
  const all = Object.values(operations);
  return ['send', 'receive'].flatMap((action) => all.filter((operation) => operation.action === action).map(row));
}

function metaPolicy(policy) {
  return `<meta http-equiv="Content-Security-Policy" content="${policy}">`;
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
