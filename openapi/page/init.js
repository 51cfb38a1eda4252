'use strict';

// Addresses are relative to /docs, so that the page also works below a path prefix.
Redoc.init(
  'openapi.yaml',
  {
    hideHostname: true, // the page cannot know its public address
    nativeScrollbars: true,
    pathInMiddlePanel: true,
    sortRequiredPropsFirst: true,
    jsonSampleExpandLevel: 5,
    theme: {colors: {primary: {main: '#8a3b12'}}},
  },
  document.getElementById('redoc'),
);
