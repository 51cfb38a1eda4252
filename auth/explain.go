package auth

import (
	"errors"
	"fmt"
	"maps"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/auth/policy"
)

// An Explanation says what a token with certain claims lets its bearer see, and why.
type Explanation struct {
	Identity Identity
	Verdicts []policy.Verdict // of every policy; nil without policies
}

// Explain holds claims against the options as if a key of their issuer had verified
// them, and reads no keys. issuer takes the place of the claim iss, unless it is
// empty. Claims that name no audience are taken to name the right one. The error is
// what the bearer would be told; the verdicts are there with an error, too.
func Explain(o Options, claims policy.Claims, issuer string, n policy.Narrowing) (Explanation, error) {
	o, settings := o.withDefaults()
	a := &Authenticator{options: o, metrics: newMetrics()}
	for _, set := range settings {
		is, wrong := set.describe(o)
		if len(wrong) > 0 {
			return Explanation{}, wrong
		}
		a.issuers = append(a.issuers, is)
	}
	is, c, err := a.assume(object(claims), issuer)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Identity: Identity{Issuer: is.name}}
	if o.Policies != nil {
		x.Verdicts, _, _ = o.Policies.Explain(is.token(c), n) // decide says what is refused
	}
	if refusal := a.decide(&x.Identity, is, c, n); refusal != nil {
		return x, refusal
	}
	return x, nil
}

// assume finds the issuer of claims that nobody has signed, and fills in what a
// token needs and a sketch of one lacks.
func (a *Authenticator) assume(claims object, issuer string) (*issuer, object, error) {
	c := maps.Clone(claims)
	if c == nil {
		return nil, nil, errors.New("want claims")
	}
	names := map[string]int{}
	for _, is := range a.issuers {
		names[is.name]++
	}
	_, named := c["iss"]
	switch {
	case issuer == "" && !named && len(names) > 1:
		return nil, nil, errors.New("the claims name no issuer (iss), and there are several")
	case issuer == "" && !named:
		issuer = a.issuers[0].name
	}
	if issuer != "" {
		c["iss"], _ = jsontext.AppendQuote(nil, issuer) // invalid UTF-8 names none of ours
	}
	iss, _ := c.text("iss")
	for _, is := range a.issuers {
		if _, given := is.audiencePath.Lookup(policy.Claims(c)); is.name != iss || given {
			continue
		}
		if names[iss] > 1 {
			return nil, nil, fmt.Errorf("the claims name no audience (%s), and several entries have this issuer", is.audienceClaim)
		}
		is.assumed = is.audience
		return is, c, nil
	}
	is, refusal := choose(a.issuers, c)
	if refusal != nil {
		return nil, nil, refusal
	}
	return is, c, nil
}
