// Asks a running promfence for everything that a frontend needs, by types made
// from the document alone, and prints what came as JSON.
//
//   PROMFENCE_URL    where it is
//   PROMFENCE_TOKEN  a token of one tenant
//   PROMFENCE_METRIC a metric that the tenant has series of

import {strict as assert} from 'node:assert';

import {promfence, value} from './client.js';
import {requestRates} from './example.js';

function setting(name: string): string {
  const text = process.env[name];
  if (!text) throw new Error(`${name} is not set`);
  return text;
}

const address = setting('PROMFENCE_URL');
const metric = setting('PROMFENCE_METRIC');
const client = promfence(address, () => setting('PROMFENCE_TOKEN'));

/** What an answer holds, or an error that says why there is none. */
function must<T>({data, error, response}: {data?: {data: T}; error?: unknown; response: Response}): T {
  if (!data) throw new Error(`${response.url}: ${response.status} ${JSON.stringify(error)}`);
  return data.data;
}

const instant = must(await client.GET('/api/v1/metrics/query', {params: {query: {query: metric}}}));
assert(instant.resultType === 'vector');
const series = instant.result.map(({metric, value: sample}) => ({metric, value: sample && value(sample[1])}));

const form = must(await client.POST('/api/v1/metrics/query', {body: {query: 'vector(1) / 0', time: '2026-01-01T00:00:00Z'}}));
assert(form.resultType === 'vector');
const infinite = form.result.map(({value: sample}) => sample && String(value(sample[1])));

const scalar = must(await client.GET('/api/v1/query', {params: {query: {query: '1 + 1', time: 1767225600.5}}}));
assert(scalar.resultType === 'scalar');

const now = Date.now() / 1000;
const range = must(
  await client.POST('/api/v1/metrics/query_range', {body: {query: metric, start: now - 60, end: now, step: 15}}),
);
const names = must(await client.POST('/api/v1/metrics/labels', {body: {'match[]': [metric, `${metric}{job!=""}`]}}));
const values = must(
  await client.GET('/api/v1/metrics/label/{name}/values', {params: {path: {name: '__name__'}, query: {'match[]': [metric]}}}),
);
const found = must(await client.GET('/api/v1/metrics/series', {params: {query: {'match[]': [metric, metric]}}}));
const explained = must(await client.POST('/api/v1/metrics/explain', {body: {query: `sum(${metric})`}}));
const narrowed = must(
  await client.POST('/api/v1/metrics/explain', {params: {header: {'X-Promfence-Tenant': 'acme'}}, body: {query: metric}}),
);
const unnamed = await client.GET('/api/v1/metrics/query', {
  params: {query: {query: metric}, header: {'X-Promfence-Policy': 'no-such-policy'}},
});
const rates = await requestRates(address, () => setting('PROMFENCE_TOKEN'));

const wrong = await client.GET('/api/v1/metrics/query', {params: {query: {query: 'sum('}}});
const stranger = await promfence(address, () => 'no.such.token').GET('/api/v1/metrics/query', {params: {query: {query: metric}}});

console.log(
  JSON.stringify({
    series,
    infinite,
    scalar: value(scalar.result[1]),
    range: range.result.length,
    names,
    values,
    found,
    explained,
    narrowed: narrowed.tenants,
    unnamed: [unnamed.response.status, unnamed.error?.errorType],
    rates: rates.length,
    wrong: [wrong.response.status, wrong.error?.errorType],
    stranger: [stranger.response.status, stranger.error?.errorType],
  }),
);

// What the document doesn't allow, the compiler refuses.
export const refused = () => [
  // @ts-expect-error query is required
  client.GET('/api/v1/metrics/query', {params: {query: {}}}),
  // @ts-expect-error a limit is a number
  client.GET('/api/v1/metrics/query', {params: {query: {query: metric, limit: 'many'}}}),
  // @ts-expect-error a misspelled header would narrow nothing
  client.GET('/api/v1/metrics/query', {params: {query: {query: metric}, header: {'X-Promfence-Tenants': 'acme'}}}),
  // @ts-expect-error there is no such endpoint
  client.GET('/api/v1/status/config'),
  // @ts-expect-error there is no such method
  client.PUT('/api/v1/metrics/query'),
  // @ts-expect-error a matrix has no single values
  range.result.map((one) => one.value),
];
