// The form of a query: text, instant or range, times.

import { element, field, option, show } from './dom.js'
import { nameClient } from './api.js'
import { newEditor } from './editor.js'
import { ranges } from './view.js'

// newAsk fills container with a form for view, which it keeps up to date.
// identity tells who asks, run asks, changed is called after each change.
export function newAsk(container, view, { identity, run, changed }) {
  const host = element('div', { class: 'editor' })
  const mode = (value, text) => element('label', null,
    element('input', { type: 'radio', name: 'mode', value, checked: view.mode === value, onchange: () => set('mode', value) }), ' ', text)
  const times = element('div', { class: 'row' })

  function set(name, value) {
    view[name] = value
    times.hidden = view.mode === 'instant'
    custom.hidden = view.range !== 'custom'
    changed()
  }

  const moment = (name, label) => field(label, element('input', { type: 'datetime-local', step: '1', value: view[name], onchange: (e) => set(name, e.target.value) }))
  const range = element('select', { onchange: (e) => set('range', e.target.value) },
    Object.keys(ranges).map((name) => option(name, 'the last ' + name, view.range)), option('custom', 'from … to …', view.range))
  const custom = element('div', { class: 'row' }, moment('from', 'From (local time)'), moment('to', 'To (empty: now)'))
  show(times, field('Time range', range), custom)
  show(container,
    host,
    element('form', { class: 'row', onsubmit: (e) => { e.preventDefault(); run() } },
      element('fieldset', null, element('legend', null, 'Evaluate'), mode('range', 'over a range'), mode('instant', 'at this moment')),
      times,
      element('button', { type: 'submit', class: 'main' }, 'Run (Ctrl+Enter)')))
  times.hidden = view.mode === 'instant'
  custom.hidden = view.range !== 'custom'
  return newEditor(host, { text: view.q, client: nameClient(identity), run, changed: (text) => set('q', text) })
}
