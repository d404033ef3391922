// Reads AsyncAPI documents with the official parser. Whatever it finds is printed; an error or a warning makes this fail.
//
//   npm ci && node validate.mjs ../../../api-specs/*/*.asyncapi.yaml

import { readFile } from 'node:fs/promises';
import { Parser } from '@asyncapi/parser';

const SEVERITIES = ['error', 'warning', 'info', 'hint'];
/** Indices of SEVERITIES. */
const TOLERATED_FROM = 2;

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: node validate.mjs FILE...');
  process.exit(2);
}

// The documents are of version 3.0 by choice.
const parser = new Parser({ ruleset: { rules: { 'asyncapi-latest-version': 'off' } } });
let invalid = 0;
for (const file of files) {
  const { document, diagnostics } = await parser.parse(await readFile(file, 'utf8'), { source: file });
  for (const { severity, range, path, message } of diagnostics) {
    console.log(`${file}:${range.start.line + 1}: ${SEVERITIES[severity]}: ${path.join('.')}: ${message}`);
  }
  const good = document !== undefined && diagnostics.every(({ severity }) => severity >= TOLERATED_FROM);
  invalid += good ? 0 : 1;
  const found = good
    ? `${document.operations().all().length} operations, ${document.messages().all().length} messages`
    : 'invalid';
  console.log(`${file}: ${found}`);
}
console.log(`${files.length - invalid} valid, ${invalid} invalid`);
process.exit(invalid === 0 ? 0 : 1);
