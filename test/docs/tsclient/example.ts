import {promfence, value} from './client.js';

/** The points of each job's request rate over the last hour, for a chart. */
export async function requestRates(address: string, token: () => string) {
  const now = Date.now() / 1000;
  const {data, error} = await promfence(address, token).GET('/api/v1/metrics/query_range', {
    params: {query: {query: 'sum by (job) (rate(http_requests_total[5m]))', start: now - 3600, end: now, step: '30s'}},
  });
  if (error) throw new Error(`${error.errorType}: ${error.error}`);
  return data.data.result.map(({metric, values = []}) => ({
    job: metric['job'] ?? '',
    points: values.map(([seconds, text]) => ({x: seconds * 1000, y: value(text)})),
  }));
}
