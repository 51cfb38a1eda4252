// Tables of answers, one row a series.

import { element } from './dom.js'

// maxRows bounds a table: a browser stutters with more.
const maxRows = 1000

// seriesName spells labels as PromQL does.
export function seriesName(labels = {}) {
  const { __name__: name = '', ...rest } = labels
  const pairs = Object.entries(rest).map(([label, value]) => `${label}=${JSON.stringify(value)}`)
  if (!pairs.length) return name || '{}'
  return `${name}{${pairs.join(', ')}}`
}

// table shows the data member of an answer of any type.
export function table({ resultType, result }) {
  if (resultType === 'scalar' || resultType === 'string') return rows([[resultType, result[1], result[0]]])
  if (!result.length) return element('p', { class: 'hint' }, 'No series: the answer is empty.')
  return rows(result.map((series) => {
    const last = series.value || series.histogram || series.values?.at(-1) || series.histograms?.at(-1) || []
    const value = typeof last[1] === 'object' ? `histogram, count ${last[1].count}, sum ${last[1].sum}` : last[1]
    return [seriesName(series.metric), value, last[0]]
  }))
}

function rows(all) {
  const body = all.slice(0, maxRows).map(([name, value, time]) => element('tr', null,
    element('td', null, element('code', null, name)),
    element('td', { class: 'number' }, String(value ?? '')),
    element('td', { class: 'number' }, time ? new Date(time * 1000).toLocaleString() : '')))
  return element('div', null,
    element('p', { class: 'hint' }, all.length > maxRows ? `The first ${maxRows} of ${all.length} series.` : `${all.length} series.`),
    element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Series and values' },
      element('table', null,
        element('thead', null, element('tr', null,
          element('th', { scope: 'col' }, 'Series'), element('th', { scope: 'col' }, 'Value'), element('th', { scope: 'col' }, 'Time'))),
        element('tbody', null, body))))
}
