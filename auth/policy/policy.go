// Package policy turns the claims of a verified token into a label policy: the one
// conjunction of matchers that the token's bearer is confined to.
//
// It stops one threat: rules that are right one by one and show more together. Its
// rules:
//
//   - A [Labels] is made here and nowhere else, and its zero value allows nothing.
//   - Every label policy names tenants on the tenant label, or says that all of them
//     are meant. A series without a tenant belongs to nobody.
//   - A value is taken byte for byte or not at all.
//
// The package knows neither HTTP nor PromQL's parser.
package policy
