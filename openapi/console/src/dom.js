// Elements are made by calls, never from text: the page's policy allows no
// markup in strings, so what an upstream names cannot become a part of the page.

// element makes an element. Attributes beginning with "on" are listeners, those
// that are false, null or undefined are left out; children are elements or text.
export function element(name, attributes, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value)
    else made.setAttribute(key, value === true ? '' : value)
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false))
  return made
}

// show puts elements in the place of all that a container holds.
export function show(container, ...children) {
  container.replaceChildren(...children.flat(Infinity).filter(Boolean))
}

// field is a form control with its label.
export function field(label, control) {
  return element('label', null, element('span', null, label), control)
}

// option is an entry of a select element.
export function option(value, text, selected) {
  return element('option', { value, selected: value === selected }, text)
}
