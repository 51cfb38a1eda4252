// Asks a server all that CodeMirror's completion asks, and prints the answers.
import { createRequire } from 'node:module';

const { HTTPPrometheusClient } = createRequire(import.meta.url)('@prometheus-io/codemirror-promql/dist/cjs/client/prometheus.js');

const errors = [];
const client = (httpMethod, lookbackInterval) =>
  new HTTPPrometheusClient({
    url: process.env.SERVER,
    httpMethod,
    lookbackInterval,
    requestHeaders: new Headers(process.env.TOKEN ? { Authorization: `Bearer ${process.env.TOKEN}` } : {}),
    httpErrorHandler: (error) => errors.push(error.message),
  });

const answers = {};
for (const c of [client('POST'), client('GET', 3600_000)]) {
  answers[c.httpMethod] = {
    labelNames: await c.labelNames(),
    labelNamesOfOne: await c.labelNames('requests_total'),
    labelValues: await c.labelValues('job'),
    labelValuesOfOne: await c.labelValues('code', 'requests_total', []),
    series: (await c.series('requests_total')).length,
    nothing: await c.series('only_stranger'),
    metricNames: await c.metricNames(),
    metricMetadata: await c.metricMetadata(),
    refused: await c.series('requests_total{'),
  };
}
console.log(JSON.stringify({ answers, errors }));
