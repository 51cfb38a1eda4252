// Graphs of range answers, drawn by uPlot. Times are shown in the local zone.

import uPlot from 'uplot'
import { element } from './dom.js'
import { seriesName } from './table.js'

const palette = ['#2f7ed8', '#d9534f', '#2e9b57', '#c77700', '#8e5bd0', '#0f9a9a', '#c2478f', '#7b8a14', '#5b6ee1', '#a0522d']

// maxDrawn bounds what one graph draws: beyond it lines cannot be told apart.
const maxDrawn = 200

// graph draws a matrix. Gaps stay gaps: a time without a sample is no zero.
export function graph(matrix, { start, end }, step) {
  const drawn = matrix.slice(0, maxDrawn)
  const times = []
  for (let t = start; t <= end + step / 2; t += step) times.push(t)
  const columns = drawn.map((series) => column(series, times.length, start, step))
  const host = element('div', { class: 'graph', role: 'img', 'aria-label': summary(matrix, start, end) })
  const legend = element('ul', { class: 'legend', 'aria-label': 'Series' })
  const ink = getComputedStyle(document.documentElement).getPropertyValue('--quiet')
  const line = getComputedStyle(document.documentElement).getPropertyValue('--line')
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } }
  const options = {
    width: 600, height: 280, legend: { show: false }, cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true, min: start, max: end } },
    axes: [axis, { ...axis, size: 70, values: (_, ticks) => ticks.map(shortNumber) }],
    series: [{}, ...drawn.map((series, i) => ({ label: seriesName(series.metric), stroke: palette[i % palette.length], width: 1.5, points: { show: drawn[i].values?.length === 1 } }))],
  }
  const plot = new uPlot(options, [times, ...columns], host)
  drawn.forEach((series, i) => legend.append(entry(series, i, plot)))
  if (matrix.length > maxDrawn) legend.append(element('li', null, `${matrix.length - maxDrawn} more series are in the table.`))
  const fit = new ResizeObserver(([box]) => plot.setSize({ width: Math.max(200, Math.floor(box.contentRect.width)), height: 280 }))
  fit.observe(host)
  return element('div', null, host, legend)
}

function column(series, length, start, step) {
  const values = new Array(length).fill(null)
  for (const [time, value] of series.values || []) {
    const at = Math.round((time - start) / step)
    const number = Number(value)
    if (at >= 0 && at < length && Number.isFinite(number)) values[at] = number
  }
  return values
}

function entry(series, i, plot) {
  const swatch = element('span', { class: 'swatch', 'aria-hidden': 'true' })
  swatch.style.backgroundColor = palette[i % palette.length]
  const button = element('button', {
    type: 'button', 'aria-pressed': 'true',
    onclick: () => {
      const shown = button.getAttribute('aria-pressed') !== 'true'
      button.setAttribute('aria-pressed', String(shown))
      plot.setSeries(i + 1, { show: shown })
    },
  }, swatch, seriesName(series.metric))
  return element('li', null, button)
}

function summary(matrix, start, end) {
  const local = (t) => new Date(t * 1000).toLocaleString()
  return `Graph of ${matrix.length} series from ${local(start)} to ${local(end)}. The table has the numbers.`
}

function shortNumber(value) {
  if (value === null) return ''
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e15 || size < 1e-4)) return value.toExponential(1)
  return Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 4 }).format(value)
}
