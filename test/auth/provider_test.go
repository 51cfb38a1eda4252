package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
)

const (
	audience    = "promfence"
	grafana     = "grafana" // the client that people log in through
	callbackURL = "http://localhost:3000/login/generic_oauth"
	password    = "verysecure" // of all users of the example's store
)

// A provider is a real OpenID provider: the example of zitadel/oidc, whose keys
// we rotate and whose tokens name tenants.
type provider struct {
	URL string

	*storage.Storage // the example's: clients, users, codes
	handler          *op.Provider

	mu        sync.Mutex
	signer    authtest.Key
	published []authtest.Key
	claims    map[string]map[string]any // of users and machines, by their id
	down      bool
	keyAsks   int // how often the keys were asked for
	refused   int // how many requests came while it was down
}

// newProvider starts a provider until the test ends.
func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{claims: map[string]map[string]any{}}
	s := httptest.NewUnstartedServer(p)
	p.URL = "http://" + s.Listener.Addr().String()
	p.Storage = storage.NewStorageWithClients(storage.NewUserStore(p.URL), map[string]*storage.Client{
		grafana: storage.WebClient(grafana, "secret", callbackURL),
	})
	p.rotate(authtest.NewKey(t, "RS256"))
	var err error
	p.handler, err = op.NewProvider(&op.Config{}, p, op.StaticIssuer(p.URL), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	return p
}

// ServeHTTP is the provider while it is up. When it is down, connections end
// without an answer.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	down := p.down
	if down {
		p.refused++
	} else if r.URL.Path == p.handler.KeysEndpoint().Relative() {
		p.keyAsks++
	}
	p.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	p.handler.ServeHTTP(w, r)
}

func (p *provider) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.refused = down, 0
}

func (p *provider) asks() (keys, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keyAsks, p.refused
}

// rotate publishes k beside the keys before it and signs with it from now on.
func (p *provider) rotate(k authtest.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signer, p.published = k, append(slices.Clone(p.published), k)
}

// retire stops publishing all keys but the one that signs.
func (p *provider) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = []authtest.Key{p.signer}
}

func (p *provider) key() authtest.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signer
}

// names says what the tokens of a user or machine claim beside the usual.
func (p *provider) names(id string, claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims[id] = claims
}

// SigningKey implements op.Storage.
func (p *provider) SigningKey(context.Context) (op.SigningKey, error) { return key{p.key()}, nil }

// SignatureAlgorithms implements op.Storage.
func (p *provider) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{key{p.key()}.Algorithm()}, nil
}

// KeySet implements op.Storage.
func (p *provider) KeySet(context.Context) ([]op.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []op.Key
	for _, k := range p.published {
		all = append(all, published{key{k}})
	}
	return all, nil
}

// ClientCredentials implements op.ClientCredentialsStorage: every id is a
// machine, and JWTs are its access tokens.
func (p *provider) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := p.Storage.ClientCredentials(ctx, "sid1", secret)
	return machine{c, id}, err
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (p *provider) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{audience}, Scopes: scopes}, nil
}

// GetPrivateClaimsFromScopes implements op.Storage: what a machine's access
// token claims.
func (p *provider) GetPrivateClaimsFromScopes(_ context.Context, _, client string, _ []string) (map[string]any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.claims[client], nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: what a
// person's ID token claims.
func (p *provider) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	info.Subject = r.GetSubject()
	for name, value := range p.claims[r.GetSubject()] {
		info.AppendClaims(name, value)
	}
	return nil
}

type machine struct {
	op.Client
	id string
}

func (m machine) GetID() string                       { return m.id }
func (m machine) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// A key is what the provider signs with.
type key struct{ k authtest.Key }

func (k key) ID() string                                  { return k.k.ID }
func (k key) Algorithm() jose.SignatureAlgorithm          { return jose.SignatureAlgorithm(k.k.Alg) }
func (k key) SignatureAlgorithm() jose.SignatureAlgorithm { return k.Algorithm() }
func (k key) Key() any                                    { return k.k.Private }
func (k key) Use() string                                 { return "sig" }

// A published key is what everybody may see of it.
type published struct{ key }

func (p published) Key() any { return p.k.Public() }

// machineToken gets an access token by client credentials (RFC 6749 section 4.4).
func (p *provider) machineToken(t *testing.T, id string) string {
	t.Helper()
	return p.tokens(t, id, "verysecret", url.Values{"grant_type": {"client_credentials"}}).Access
}

// A login is what a client gets when a person has logged in.
type login struct {
	Access string `json:"access_token"`
	ID     string `json:"id_token"`
}

// login takes a person through the authorization code flow (OpenID Connect Core
// section 3.1), as Grafana does.
func (p *provider) login(t *testing.T, user string) login {
	t.Helper()
	page := p.redirect(t, p.handler.AuthorizationEndpoint().Absolute(p.URL)+"?"+url.Values{
		"client_id": {grafana}, "redirect_uri": {callbackURL}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
	}.Encode())
	request := page.Query().Get("authRequestID")
	if err := p.CheckUsernamePassword(user, password, request); err != nil {
		t.Fatalf("login: %v", err)
	}
	ctx := op.ContextWithIssuer(t.Context(), p.URL)
	back := p.redirect(t, op.AuthCallbackURL(p.handler)(ctx, request))
	return p.tokens(t, grafana, "secret", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callbackURL},
	})
}

// redirect asks for a page and returns where it leads to.
func (p *provider) redirect(t *testing.T, address string) *url.URL {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s %v: %s", address, resp.Status, err, body)
	}
	return to
}

// tokens asks the token endpoint.
func (p *provider) tokens(t *testing.T, client, secret string, form url.Values) login {
	t.Helper()
	address := p.handler.TokenEndpoint().Absolute(p.URL)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, secret)
	got := harness.Do(t, req)
	var l login
	if err := json.Unmarshal([]byte(got.Body), &l); err != nil || l.Access == "" {
		t.Fatal(fmt.Errorf("no token: %d %s %w", got.Status, got.Body, err))
	}
	return l
}
