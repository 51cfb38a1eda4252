// Sign-in by OpenID Connect: the authorization code flow with PKCE (RFC 7636).
// What must live through the redirect (verifier, state, nonce, the page's
// fragment) is kept in this tab's session storage until the answer comes; the
// token that comes of it is returned and stored nowhere.

import * as oauth from 'oauth4webapi'

const kept = 'promfence-sign-in'

// options let a provider on this machine be asked without TLS.
function options(issuer) {
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(issuer.hostname)
  return { [oauth.allowInsecureRequests]: loopback && issuer.protocol === 'http:' }
}

async function discover(issuer) {
  const response = await oauth.discoveryRequest(issuer, options(issuer))
  return oauth.processDiscoveryResponse(issuer, response)
}

// redirectURI is this page without query and fragment, as it is registered.
const redirectURI = () => location.origin + location.pathname

// signIn leaves the page for the provider's.
export async function signIn(settings) {
  const server = await discover(new URL(settings.issuer))
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const to = new URL(server.authorization_endpoint)
  if (!['https:', 'http:'].includes(to.protocol)) throw new Error('The provider names no web address to sign in at.')
  const query = {
    client_id: settings.client_id, redirect_uri: redirectURI(), response_type: 'code', scope: settings.scopes,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, nonce,
  }
  for (const [name, value] of Object.entries(query)) to.searchParams.set(name, value)
  sessionStorage.setItem(kept, JSON.stringify({ verifier, state, nonce, fragment: location.hash }))
  location.assign(to)
}

// finishSignIn takes the provider's answer, if this page was opened with one,
// and returns the token, or null. The answer leaves the address bar at once.
export async function finishSignIn(settings) {
  const answer = new URL(location.href)
  const pending = JSON.parse(sessionStorage.getItem(kept) || 'null')
  sessionStorage.removeItem(kept)
  if (!answer.searchParams.has('state')) return null
  history.replaceState(null, '', location.pathname + (pending?.fragment || ''))
  if (!pending) throw new Error('This sign-in was begun in another tab. Sign in again.')
  const issuer = new URL(settings.issuer)
  const server = await discover(issuer)
  const client = { client_id: settings.client_id }
  const parameters = oauth.validateAuthResponse(server, client, answer, pending.state)
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), parameters, redirectURI(), pending.verifier, options(issuer))
  const result = await oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: pending.nonce, requireIdToken: true })
  // Some providers' access tokens are opaque; then the ID token is the JWT.
  return result.access_token.split('.').length === 3 ? result.access_token : result.id_token
}
