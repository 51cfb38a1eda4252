// Package policy turns the claims of a verified token into a label policy: the one
// conjunction of matchers that the token's bearer is confined to.
//
// It stops one threat: a bearer who sees more than their policies say, because a
// policy applies to a token for which it was not written, or because several policies
// together show what none of them shows alone. Its rules:
//
//   - A [Labels] is made here and nowhere else, and its zero value allows nothing.
//   - Every label policy names tenants on the tenant label, or says that all of them
//     are meant. A series without a tenant belongs to nobody.
//   - Several policies are joined exactly or not at all: [Rules.Decide] refuses when no
//     conjunction allows precisely what they allow together.
//   - Claims can grant and never except. What a policy cannot use of a claim narrows it.
//   - A caller can ask for less than they may see, and gets no other rate by it.
//   - A value is taken byte for byte or not at all.
//
// The way of a token through [Rules.Decide]:
//
//	policies that apply → chosen by the caller → narrowed to the caller's tenants → joined
//
// The package knows neither HTTP nor PromQL's parser.
package policy
