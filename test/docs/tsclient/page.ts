import {Chart, registerables} from 'chart.js';
import {UserManager} from 'oidc-client-ts';

import {requestRates} from './example.js';

// Set these two to yours.
const metrics = 'https://metrics.example.com';
const provider = 'https://keycloak.example.com/realms/example';

// A public client at the identity provider: authorization code with PKCE, no secret.
const login = new UserManager({
  authority: provider,
  client_id: 'metrics-page',
  redirect_uri: location.origin,
  scope: 'openid',
});

async function main() {
  let user = location.search.includes('code=') ? await login.signinCallback() : await login.getUser();
  if (!user || user.expired) return login.signinRedirect();
  history.replaceState(null, '', location.pathname);
  login.events.addUserLoaded((renewed) => {
    user = renewed; // by the refresh token, before the old one expires
  });

  const rates = await requestRates(metrics, () => user?.access_token ?? '');
  Chart.register(...registerables);
  new Chart(document.querySelector('canvas')!, {
    type: 'line',
    data: {datasets: rates.map(({job, points}) => ({label: job, data: points}))},
    options: {scales: {x: {type: 'linear', ticks: {callback: (ms) => new Date(ms).toLocaleTimeString()}}}},
  });
}

main().catch((error: unknown) => document.body.append(String(error)));
