import createClient, {createQuerySerializer, type Client} from 'openapi-fetch';

import type {components, paths} from './generated/schema.js';

export type Schemas = components['schemas'];

/** A client of the promfence at an address; token gives the current token. */
export function promfence(address: string, token: () => string): Client<paths> {
  const client = createClient<paths>({
    baseUrl: address,
    // Forms repeat a name for each of its values, just as URLs do.
    bodySerializer: (body) => createQuerySerializer<Record<string, unknown>>()(body as unknown as Record<string, unknown>),
  });
  client.use({
    onRequest({request}) {
      request.headers.set('Authorization', `Bearer ${token()}`);
      if (request.method === 'POST') {
        request.headers.set('Content-Type', 'application/x-www-form-urlencoded');
      }
    },
  });
  return client;
}

/** A sample's value as a number: `+Inf` and `-Inf` are spelled otherwise in JavaScript. */
export function value(text: Schemas['SampleValue']): number {
  return Number(text.replace('Inf', 'Infinity'));
}
