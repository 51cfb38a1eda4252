package openapi

// HandlerWith is Handler with the given compressed Redoc, nil for none.
var HandlerWith = handler

// ConsoleWith is Console with the given compressed program, nil for none.
var ConsoleWith = console
