// The API is asked below the page's own address, so that a path prefix of an
// ingress stays in front. A token goes into the header and nowhere else.

// root is where the API begins: the folder that /console stands in.
export const root = new URL('.', location.href).href

// A Refusal is an answer that is no success, in the API's own words.
export class Refusal extends Error {
  constructor(status, type, message, requestID) {
    super(message)
    this.status = status
    this.type = type
    this.requestID = requestID
  }
}

// An Identity is a token and what narrows its view.
export class Identity {
  constructor(name, token) {
    this.name = name
    this.token = token
    this.tenants = [] // none = all that the token allows
  }

  headers() {
    const headers = { Authorization: 'Bearer ' + this.token }
    if (this.tenants.length) headers['X-Promfence-Tenant'] = this.tenants.map(percentEncoded).join(', ')
    return headers
  }
}

// percentEncoded spells a tenant's name as X-Promfence-Tenant wants it.
function percentEncoded(name) {
  return Array.from(new TextEncoder().encode(name), (byte) => {
    const c = String.fromCharCode(byte)
    return /[A-Za-z0-9_.-]/.test(c) ? c : '%' + byte.toString(16).toUpperCase().padStart(2, '0')
  }).join('')
}

// call asks one endpoint and returns the member data and the warnings, or throws
// a Refusal.
export async function call(identity, path, parameters, { method = 'POST', signal } = {}) {
  const form = new URLSearchParams()
  for (const [name, values] of Object.entries(parameters)) for (const value of [values].flat()) form.append(name, value)
  const init = { method, headers: identity.headers(), signal, cache: 'no-store', credentials: 'omit' }
  let url = root + 'api/v1' + path
  if (method === 'POST') init.body = form
  else if (form.size) url += '?' + form
  let response
  try {
    response = await fetch(url, init)
  } catch (e) {
    if (e.name === 'AbortError') throw e
    throw new Refusal(0, 'unreachable', 'promfence could not be reached: is this page still served by it?', '')
  }
  const requestID = response.headers.get('X-Request-Id') || ''
  let body
  try {
    body = await response.json()
  } catch {
    throw new Refusal(response.status, 'no_json', 'The answer is not JSON: something between this page and promfence gave it.', requestID)
  }
  if (body.status !== 'success') throw new Refusal(response.status, body.errorType, body.error, requestID)
  return { data: body.data, warnings: [...(body.warnings || []), ...(body.infos || [])] }
}

// nameClient is what the editor completes names from. It asks as the current
// identity, so it learns of this identity's own series only.
export function nameClient(identity) {
  const ask = async (path, parameters, nothing) => {
    const who = identity()
    if (!who) return nothing
    try {
      return (await call(who, path, parameters, { method: 'GET' })).data
    } catch {
      return nothing // no completion is no error: asking the query will tell
    }
  }
  const selector = (metric, matchers = []) => {
    const parts = matchers.map((m) => m.name + m.matcher + JSON.stringify(m.value))
    if (metric) parts.unshift('__name__=' + JSON.stringify(metric))
    return parts.length ? { 'match[]': '{' + parts.join(',') + '}' } : {}
  }
  const recent = () => ({ start: String(Math.floor(Date.now() / 1000) - 12 * 3600) })
  return {
    labelNames: (metric) => ask('/labels', { ...recent(), ...selector(metric) }, []),
    labelValues: (label, metric, matchers) =>
      ask('/label/' + encodeURIComponent(label) + '/values', { ...recent(), ...selector(metric, matchers) }, []),
    metricNames: () => ask('/label/__name__/values', recent(), []),
    metricMetadata: () => ask('/metadata', {}, {}),
    series: async (metric, matchers) => {
      const found = await ask('/series', { ...recent(), ...selector(metric, matchers) }, [])
      return found.map((labels) => new Map(Object.entries(labels)))
    },
    flags: async () => ({}),
  }
}
