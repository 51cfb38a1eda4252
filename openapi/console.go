package openapi

import (
	"embed"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// consoleFiles holds the page at /console and, where `make console` has bundled
// it, its program.
//
//go:embed console/page console/dist
var consoleFiles embed.FS

// consoleFile is the console's program, compressed, as console.mk leaves it.
const consoleFile = "console/dist/console.js.gz"

// A SignIn tells the console how its users sign in by OpenID Connect. The zero
// value means that they paste a token.
type SignIn struct {
	ClientID string // as registered at the provider, for a public client with PKCE
	Scopes   string // separated by spaces
	Issuer   string // the provider, as its tokens spell it

	// Endpoints returns the URLs that the page must reach besides the issuer's:
	// those of the token and key endpoints. They are known once the provider was
	// asked, so this is called for each answer. Nil means none.
	Endpoints func() []string
}

// Console serves the page at /console and what it loads from below. The page
// holds no data: it asks the API with the token that its user gives it. It
// answers GET and HEAD, and 404 to every other path.
func Console(s SignIn) http.Handler {
	return console(embedded(consoleFiles, consoleFile), s) // nil where it was not bundled: the page says so
}

// console is Console with the given compressed program, or a plain page without.
func console(program content, s SignIn) http.Handler {
	policy := s.policy
	served := files{"/console/console.css": newFile("text/css; charset=utf-8", policy, consoleAsset("console.css"))}
	if program == nil {
		served["/console"] = newFile("text/html; charset=utf-8", policy, consoleAsset("plain.html"))
		return served
	}
	served["/console"] = newFile("text/html; charset=utf-8", policy, consoleAsset("index.html"))
	served["/console/console.js"] = newCompressed("text/javascript; charset=utf-8", policy, program)
	served["/console/settings.json"] = newFile("application/json", policy, s.settings())
	return served
}

// settings is what the page knows of its sign-in.
func (s SignIn) settings() []byte {
	b, err := json.Marshal(struct {
		ClientID string `json:"client_id,omitempty"`
		Scopes   string `json:"scopes,omitempty"`
		Issuer   string `json:"issuer,omitempty"`
	}{s.ClientID, s.Scopes, s.Issuer})
	if err != nil { // three strings always marshal
		panic(err)
	}
	return b
}

// policy is the page's content security policy: everything comes from this
// origin, no markup is made of text (trusted types), and besides this origin
// only those of the provider may be asked.
func (s SignIn) policy() string {
	connect := []string{"'self'"}
	if s.ClientID != "" {
		asked := []string{s.Issuer}
		if s.Endpoints != nil {
			asked = append(asked, s.Endpoints()...)
		}
		for _, text := range asked {
			if o := origin(text); o != "" && !slices.Contains(connect, o) {
				connect = append(connect, o)
			}
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src " + strings.Join(connect, " ") +
		"; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
}

// origin returns the origin of a web URL, and "" for anything else. What could
// end or widen the policy's directive is no origin.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(u.Host, "*;, '\"") {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// consoleAsset is a file of the console's page, which the compiler put there.
func consoleAsset(name string) []byte {
	b, err := consoleFiles.ReadFile("console/page/" + name)
	if err != nil {
		panic(err)
	}
	return b
}
