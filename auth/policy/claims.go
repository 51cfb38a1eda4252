package policy

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Claims are the members of a token, read by their exact names. encoding/json would
// match names in any case and take the last of duplicates: what a claim means must
// not depend on who reads it.
type Claims map[string]jsontext.Value

// ParseClaims reads a JSON object. Duplicate members at any depth, invalid UTF-8 and
// text after the object are errors. The error quotes nothing.
func ParseClaims(b []byte) (Claims, error) {
	var c Claims
	if err := json.Unmarshal(b, &c); err != nil || c == nil {
		return nil, errors.New("is not a JSON object without duplicate members")
	}
	return c, nil
}

// Lookup walks from object to object by exact names.
func (p Path) Lookup(c Claims) (jsontext.Value, bool) {
	v, ok := c[p.members[0]]
	for _, name := range p.members[1:] {
		inner, err := ParseClaims(v)
		if err != nil {
			return nil, false
		}
		v, ok = inner[name]
	}
	return v, ok
}

// LeftOut reports whether the provider says that it left the claim out because it
// would have made the token too long (Entra ID, OpenID Connect Core section 5.6.2).
func (p Path) LeftOut(c Claims) bool {
	if names, err := ParseClaims(c["_claim_names"]); err == nil && names[p.members[0]] != nil {
		return true
	}
	has := c["hasgroups"]
	return string(has) == "true" || string(has) == `"true"`
}

// Names reads what stands at the path: one name, an array of them, or, for a path
// that ends in .*, the names of an object's members. The error completes the
// sentence "the claim …".
func (p Path) Names(v jsontext.Value) ([]string, error) {
	if p.each {
		c, err := ParseClaims(v)
		if err != nil {
			return nil, errors.New("is not an object, whose members would be names")
		}
		return slices.Sorted(maps.Keys(c)), nil
	}
	if v.Kind() != '[' {
		name, ok := nameIn(v)
		if !ok {
			return nil, errors.New("is neither a string nor an integer nor an array of them")
		}
		return []string{name}, nil
	}
	var vs []jsontext.Value
	if err := json.Unmarshal(v, &vs); err != nil {
		return nil, errors.New("is not an array")
	}
	names := make([]string, len(vs))
	for i, v := range vs {
		var ok bool
		if names[i], ok = nameIn(v); !ok {
			return nil, errors.New("is an array of something else than strings and integers")
		}
	}
	return names, nil
}

// nameIn reads a string, or an integer as its decimal text. 1.0, 1e3 and -0 have
// several spellings for one value, integers beyond 2^53 several values for one
// spelling, depending on who reads them.
func nameIn(v jsontext.Value) (string, bool) {
	switch v.Kind() {
	case '"':
		b, err := jsontext.AppendUnquote(nil, v)
		return string(b), err == nil
	case '0':
		const largest = 1<<53 - 1
		n, err := strconv.ParseInt(string(v), 10, 64)
		s := strconv.FormatInt(n, 10)
		return s, err == nil && s == string(v) && n >= -largest && n <= largest
	}
	return "", false
}

// present are the values of a claim that conditions and labels look at.
type present struct {
	values []string        // without duplicates
	set    map[string]bool // the same, and what counts in conditions alone
}

// find reads the values at a path. What is not a name, or not an array of names, has
// no values; a boolean is for conditions alone.
func (p Path) find(c Claims) present {
	v, ok := p.Lookup(c)
	if !ok {
		return present{}
	}
	if k := v.Kind(); !p.each && (k == 't' || k == 'f') {
		return present{set: map[string]bool{string(v): true}}
	}
	names, err := p.Names(v)
	if err != nil {
		return present{}
	}
	found := present{set: make(map[string]bool, len(names))}
	for _, name := range names {
		if name != "" && !found.set[name] {
			found.set[name] = true
			found.values = append(found.values, name)
		}
	}
	return found
}
