// Why a caller sees what they see: the enforced query with each added matcher
// marked, and what a refusal means.

import { parser } from '@prometheus-io/lezer-promql'
import { element } from './dom.js'

// matchersIn lists the label matchers of an expression with their places.
function matchersIn(text) {
  const found = []
  parser.parse(text).iterate({
    enter(node) {
      if (node.name === 'UnquotedLabelMatcher' || node.name === 'QuotedLabelMatcher') found.push({ from: node.from, to: node.to, text: text.slice(node.from, node.to) })
    },
  })
  return found
}

// marked shows the enforced query with the label policy's matchers marked.
export function marked(enforced, selector) {
  const policy = new Set(matchersIn(selector).map((matcher) => matcher.text))
  const parts = []
  let at = 0
  for (const matcher of matchersIn(enforced)) {
    if (!policy.has(matcher.text)) continue
    parts.push(enforced.slice(at, matcher.from), element('mark', { title: 'added by promfence' }, matcher.text))
    at = matcher.to
  }
  parts.push(enforced.slice(at))
  return element('pre', { class: 'code' }, parts)
}

// explanation shows what was sent, what the upstream is asked, and for whom.
export function explanation({ query, enforced, label, tenants, policies, selector }) {
  const all = tenants === 'all'
  return element('div', null,
    element('h3', null, 'You sent'), element('pre', { class: 'code' }, query),
    element('h3', null, 'The upstream is asked'), marked(enforced, selector || fallback(label, tenants)),
    element('p', { class: 'hint' }, all ? `You see every tenant: all series that carry the label ${label}.` : `Every selector is confined to ${tenants.length === 1 ? 'your tenant' : 'your tenants'} ${tenants.join(', ')}.`),
    policies?.length ? element('p', { class: 'hint' }, `Policies that apply: ${policies.join(', ')}.`) : null)
}

// fallback is the selector of an explanation that names none.
function fallback(label, tenants) {
  if (!Array.isArray(tenants)) return `{${label}!=""}`
  if (tenants.length === 1) return `{${label}=${JSON.stringify(tenants[0])}}`
  return `{${label}=~${JSON.stringify(tenants.join('|'))}}`
}

// advice tells what a refusal means and what to do, by status.
const advice = {
  0: ['Nobody answered.', 'Look whether promfence still runs, and whether this page was loaded from it.'],
  400: ['promfence or the upstream cannot read the query.', 'Correct the marked place. What promfence does not understand it never sends.'],
  401: ['The token is missing, expired, not signed by a known issuer, or meant for another service.', 'Get a new token, or sign in again. The text says which check failed.'],
  403: ['The token is good, but gives no right to this.', 'Ask whoever runs the identity provider for a tenant or a group, or clear the choice of tenants above.'],
  404: ['promfence does not serve this endpoint.', 'Only the query API is served; the API reference lists it.'],
  413: ['The request is too large.', 'Shorten the query; limits.max_body_bytes is the bound.'],
  422: ['The query is well formed, but the upstream cannot compute it.', 'The text names the cause, often a limit of the upstream: select fewer series or a shorter time.'],
  429: ['Your tenant asks more often than its limits allow.', 'Wait a moment and ask again.'],
  500: ['promfence failed and sent nothing.', 'Report the request id: the log has the cause.'],
  502: ['The upstream could not be reached or gave an answer that cannot be shown.', 'Report the request id: the log has the cause.'],
  503: ['promfence has no keys to verify tokens with yet, or the upstream is not available.', 'Ask again in a moment; if it stays, report the request id.'],
  504: ['The upstream did not answer in time.', 'Select fewer series or a shorter time.'],
}

// refusal shows an error as a sentence, its meaning and the next step.
export function refusal(error) {
  const [meaning, step] = advice[error.status] || ['The request was not answered.', '']
  return element('div', { class: 'problem', role: 'alert' },
    element('p', null, element('strong', null, error.message || 'The request failed.')),
    error.status === undefined ? null : element('p', null, meaning, ' ', step),
    error.requestID ? element('p', { class: 'hint' }, 'Request id: ', element('code', null, error.requestID)) : null)
}
