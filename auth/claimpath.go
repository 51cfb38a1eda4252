package auth

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A claimPath says where names stand in the claims.
type claimPath struct {
	members []string // from the outside in
	each    bool     // the names are those of the object's members
}

// lookup walks from object to object by exact names.
func (p claimPath) lookup(o object) (jsontext.Value, bool) {
	v, ok := o[p.members[0]]
	for _, name := range p.members[1:] {
		inner, err := parseObject(v)
		if err != nil {
			return nil, false
		}
		v, ok = inner[name]
	}
	return v, ok
}

// leftOut reports whether the provider says that it left the claim out because it
// would have made the token too long (Entra ID, OpenID Connect Core section 5.6.2).
func (p claimPath) leftOut(o object) bool {
	if names, err := parseObject(o["_claim_names"]); err == nil && names[p.members[0]] != nil {
		return true
	}
	has := o["hasgroups"]
	return string(has) == "true" || string(has) == `"true"`
}

// names reads what stands at the path: one name, an array of them, or, with each,
// the names of an object's members. The error completes the sentence "the claim …".
func (p claimPath) names(v jsontext.Value) ([]string, error) {
	if p.each {
		o, err := parseObject(v)
		if err != nil {
			return nil, errors.New("is not an object, whose members would name tenants")
		}
		return slices.Sorted(maps.Keys(o)), nil
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
	if v.Kind() != '0' {
		return text(v)
	}
	const largest = 1<<53 - 1
	n, err := strconv.ParseInt(string(v), 10, 64)
	s := strconv.FormatInt(n, 10)
	return s, err == nil && s == string(v) && n >= -largest && n <= largest
}

// parseClaimPath reads the setting that says where the tenant stands:
//
//	tenant_id                                  a claim
//	org.tenant                                 a claim inside of a claim
//	"https://example.com/tenant_id"            one whose name holds dots
//	"https://example.com/claims".tenant        and one inside of it
//	/https:~1~1example.com~1claims/tenant      the same as a JSON pointer (RFC 6901)
//	organization.*                             the names of an object's members
//	organization."*"                           the member whose name is a star
func parseClaimPath(s string) (claimPath, error) {
	if strings.HasPrefix(s, "/") {
		members, err := parsePointer(s)
		return claimPath{members: members}, err
	}
	path := claimPath{}
	s, path.each = strings.CutSuffix(s, ".*")
	for rest := s; ; {
		name, tail, err := cutName(rest)
		if err != nil {
			return claimPath{}, err
		}
		path.members = append(path.members, name)
		if tail == "" {
			return path, nil
		}
		rest = tail[1:]
	}
}

// cutName cuts one name off a dotted path. The tail is empty or begins with the
// dot.
func cutName(s string) (name, tail string, err error) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		name, tail, ok = strings.Cut(quoted, `"`)
		if !ok {
			return "", "", errors.New("a quoted name has no closing quote")
		}
		if tail != "" && tail[0] != '.' {
			return "", "", errors.New("want a dot or the end after a closing quote")
		}
	} else {
		name = s
		if i := strings.IndexByte(s, '.'); i >= 0 {
			name, tail = s[:i], s[i:]
		}
		// Taken as a path, a URL would end up somewhere that no token has.
		if strings.ContainsAny(name, `/" ,*`) {
			return "", "", errors.New(`put double quotes around a name that holds dots, slashes, commas, stars or spaces, like "https://example.com/tenant_id"`)
		}
	}
	if name == "" {
		return "", "", errors.New("a name in the path is empty")
	}
	return name, tail, nil
}

func parsePointer(s string) ([]string, error) {
	path := strings.Split(s[1:], "/")
	for i, name := range path {
		if name == "" {
			return nil, errors.New("a name in the JSON pointer is empty")
		}
		plain := strings.NewReplacer("~0", "", "~1", "").Replace(name)
		if strings.Contains(plain, "~") {
			return nil, errors.New("want ~0 or ~1 after ~ in a JSON pointer")
		}
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return path, nil
}
