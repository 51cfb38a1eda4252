package openapi

// HandlerWith is Handler with the given compressed Redoc, nil for none.
var HandlerWith = handler
