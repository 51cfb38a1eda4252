package policy

import (
	"errors"
	"strings"
)

// A Path says where values stand in a token's claims.
type Path struct {
	members []string // from the outside in
	each    bool     // the values are the names of the object's members
	text    string   // as it was written
}

// ParsePath reads the setting that says where values stand:
//
//	tenant_id                                  a claim
//	org.tenant                                 a claim inside of a claim
//	"https://example.com/tenant_id"            one whose name holds dots
//	"https://example.com/claims".tenant        and one inside of it
//	/https:~1~1example.com~1claims/tenant      the same as a JSON pointer (RFC 6901)
//	organization.*                             the names of an object's members
//	organization."*"                           the member whose name is a star
func ParsePath(s string) (Path, error) {
	if strings.HasPrefix(s, "/") {
		members, err := parsePointer(s)
		return Path{members: members, text: s}, err
	}
	path := Path{text: s}
	s, path.each = strings.CutSuffix(s, ".*")
	for rest := s; ; {
		name, tail, err := cutName(rest)
		if err != nil {
			return Path{}, err
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

// NamesMembers reports whether the values are the names of an object's members.
func (p Path) NamesMembers() bool { return p.each }

// String writes the path as ParsePath reads it.
func (p Path) String() string { return p.text }
