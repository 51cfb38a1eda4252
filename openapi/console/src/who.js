// Who is asking: a token that is pasted or comes of a sign-in, what it says, and
// which of its tenants are looked at. A token lives in this page's memory only.

import { Identity, call } from './api.js'
import { element, field, show } from './dom.js'
import { signIn } from './sign-in.js'
import { claimsOf, lifetime } from './token.js'
import { refusal } from './why.js'

// newWho fills container. settings are those of console/settings.json; changed
// is called with the identities whenever they change.
export function newWho(container, settings, changed) {
  const facts = element('div', { 'aria-live': 'polite' })
  const token = element('textarea', { spellcheck: 'false', autocomplete: 'off', placeholder: 'eyJ…', rows: '3' })
  let timer = 0

  async function use(text) {
    const raw = text.trim().replace(/^bearer\s+/i, '')
    clearInterval(timer)
    if (!raw) {
      show(facts, element('p', { class: 'hint' }, 'Paste a token first.'))
      return
    }
    const identity = new Identity('', raw)
    token.value = ''
    await introduce(identity)
  }

  async function introduce(identity) {
    try {
      const { data } = await call(identity, '/metrics/explain', { query: 'up' })
      changed([identity])
      show(facts, card(identity, data))
    } catch (e) {
      changed([])
      show(facts, card(identity, null), refusal(e))
    }
  }

  function card(identity, known) {
    const claims = claimsOf(identity.token) || {}
    const left = element('dd', null, lifetime(claims.exp))
    clearInterval(timer)
    timer = setInterval(() => { left.textContent = lifetime(claims.exp) }, 1000)
    const rows = [['Issuer', claims.iss], ['Subject', claims.sub]].map(([name, value]) => [element('dt', null, name), element('dd', null, String(value ?? 'none'))])
    rows.push([element('dt', null, 'Expires'), left])
    if (known?.policies?.length) rows.push([element('dt', null, 'Policies'), element('dd', null, known.policies.join(', '))])
    if (known?.selector) rows.push([element('dt', null, 'Label policy'), element('dd', null, element('code', null, known.selector))])
    return element('div', null, element('dl', null, rows), known ? tenants(identity, known) : null)
  }

  function tenants(identity, known) {
    if (known.tenants === 'all') return allTenants(identity)
    if (known.tenants.length < 2) return element('p', null, `Your tenant: ${known.tenants[0]}`)
    const boxes = known.tenants.map((name) => element('input', { type: 'checkbox', value: name, checked: true }))
    const narrow = () => {
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value)
      identity.tenants = chosen.length === boxes.length ? [] : chosen
      changed([identity])
    }
    return element('fieldset', { onchange: narrow }, element('legend', null, 'Look at these of your tenants (none checked: all)'),
      boxes.map((box) => element('label', null, box, ' ', box.value)))
  }

  function allTenants(identity) {
    const names = element('input', { type: 'text', placeholder: 'acme, globex', onchange: () => {
      identity.tenants = names.value.split(',').map((name) => name.trim()).filter(Boolean)
      changed([identity])
    } })
    return field('You may see all tenants. Look only at these (names, separated by commas)', names)
  }

  const failed = (e) => show(facts, refusal(e))
  show(container,
    element('form', { onsubmit: (e) => { e.preventDefault(); use(token.value) } },
      field('Token (a JWT). It is kept in the memory of this page only.', token),
      element('div', { class: 'row' },
        element('button', { type: 'submit' }, 'Use this token'),
        settings.client_id ? element('button', { type: 'button', class: 'main', onclick: () => signIn(settings).catch(failed) }, 'Sign in') : null)),
    facts)
  return { use, failed, facts }
}
